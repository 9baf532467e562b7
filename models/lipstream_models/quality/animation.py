"""A picture and a recording, window after window, with the time each took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..audio.features import context_windows
from ..device.timer import Stopwatch
from ..pipeline import EncodedPortrait, Sampling, TalkingHeadPipeline
from ..portrait import FaceLandmarker, PortraitSettings, prepare_portrait

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Window:
    """frames: (F, H, W, 3); denoising: seconds."""

    frames: Frames
    denoising: float


def framed_avatar(engine: TalkingHeadPipeline, portrait: Frames) -> EncodedPortrait:
    """portrait: (H, W, 3) at the model's size, framed already."""
    settings = PortraitSettings(engine.model.size, engine.model.portrait.levels, framing=None)
    return engine.encode_portrait(prepare_portrait(portrait, FaceLandmarker(), settings))


def animate(
    engine: TalkingHeadPipeline, portrait: Frames, audio: NDArray[np.float32], sampling: Sampling
) -> Iterator[Window]:
    """Whole windows of generated frames for a portrait (H, W, 3) that is framed already; audio: (N,) at 16 kHz."""
    model = engine.model
    stream = engine.initial_state(framed_avatar(engine, portrait), sampling)
    heard = context_windows(model.audio.offline(audio))
    count = model.defaults.window
    for start in range(0, len(heard) - count + 1, count):
        watch = Stopwatch(model.device)
        stream, frames = engine.generate_windows([(stream, heard[start : start + count])], watch)[0]
        yield Window(frames, watch.seconds()["denoising"])
