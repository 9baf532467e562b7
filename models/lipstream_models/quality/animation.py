"""Animation of a portrait by a recording, window by window and timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..audio.windows import context_windows
from ..device.timer import StageTimer
from ..pipeline import TalkingHeadPipeline
from ..pipeline_state import EncodedPortrait
from ..portrait import FaceLandmarker, PortraitSettings, prepare_portrait
from ..sampling import Sampling

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class TimedWindow:
    """One generated window.

    Attributes:
        frames: (F, H, W, 3) uint8.
        denoising: Seconds of denoising.
    """

    frames: Frames
    denoising: float


def encode_framed_portrait(pipeline: TalkingHeadPipeline, portrait: Frames) -> EncodedPortrait:
    """Encode a portrait (H, W, 3) that is framed already, at the model's size."""
    settings = PortraitSettings(pipeline.model.size, pipeline.model.portrait.levels, framing=None)
    return pipeline.encode_portrait(prepare_portrait(portrait, FaceLandmarker(), settings))


def animate_portrait(
    pipeline: TalkingHeadPipeline, portrait: Frames, audio: NDArray[np.float32], sampling: Sampling
) -> Iterator[TimedWindow]:
    """Generate all whole windows of a recording.

    Args:
        pipeline: Generates the frames.
        portrait: (H, W, 3) uint8, framed already.
        audio: (N,) at 16 kHz.
        sampling: How the windows are sampled.
    """
    model = pipeline.model
    state = pipeline.initial_state(encode_framed_portrait(pipeline, portrait), sampling)
    features = context_windows(model.audio.offline(audio))
    length = model.defaults.window
    for start in range(0, len(features) - length + 1, length):
        watch = StageTimer(model.device)
        window = features[start : start + length]
        state, frames = pipeline.generate_windows([(state, window)], watch)[0]
        yield TimedWindow(frames, watch.seconds()["denoising"])
