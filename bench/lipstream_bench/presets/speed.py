"""Time of samplings for one window, in one process and in turns, so that disturbances affect all."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from lipstream_models.audio.windows import context_windows
from lipstream_models.device.timer import StageTimer
from lipstream_models.pipeline import TalkingHeadPipeline
from lipstream_models.pipeline_state import EncodedPortrait, PipelineState
from lipstream_models.quality.animation import encode_framed_portrait
from lipstream_models.sampling import Sampling
from lipstream_server.media.live.media_output import Mp4Output
from lipstream_training.data.dataset import RenderedClip

from ..machine.peak_memory import PeakMemory

Features = NDArray[np.float32]


@dataclass(frozen=True)
class WindowTiming:
    """Seconds of one window.

    Attributes:
        preparing: Conditions.
        denoising: Denoising.
        decoding: Decoding of the latents.
        whole: From features to encoded video.
    """

    preparing: float
    denoising: float
    decoding: float
    whole: float


@dataclass(frozen=True)
class Speed:
    """Speed of one sampling; medians.

    Attributes:
        preset: Its name.
        denoising_ms: Denoising of a window.
        ratio: Base's denoising time over this one's, turn by turn.
        whole_ms: Whole window, from features to encoded video.
        whole_ratio: Base's whole time over this one's, turn by turn.
        frames_a_second: Frames per second with decoding and encoding.
        memory_mb: Peak memory of the tensors of a window.
    """

    preset: str
    denoising_ms: float
    ratio: float
    whole_ms: float
    whole_ratio: float
    frames_a_second: float
    memory_mb: float


def measure_speed(
    engine: TalkingHeadPipeline,
    avatar: EncodedPortrait,
    window: Features,
    settings: Mapping[str, Sampling],
    turns: int,
) -> list[Speed]:
    """Time samplings in turns; the first one is the reference of the others.

    Args:
        engine: Generates the frames.
        avatar: The portrait.
        window: (F, 5, blocks, channels) audio features.
        settings: Samplings by name.
        turns: Number of timings of each.
    """
    # From the second window on, motion frames are generated ones; the first call includes lazy initialisation.
    streams = {
        name: engine.generate_windows([(engine.initial_state(avatar, sampling), window)])[0][0]
        for name, sampling in settings.items()
    }
    memory = {name: _peak_memory_mb(engine, streams[name], window) for name in settings}
    media = Mp4Output(engine.model.size, engine.model.size, engine.model.fps)
    audio = np.zeros(48_000 // engine.model.fps * len(window), np.float32)
    taken: dict[str, list[WindowTiming]] = {name: [] for name in settings}
    order, shuffle = list(settings), random.Random(0)  # noqa: S311  # nothing secret
    for _ in range(turns):
        shuffle.shuffle(order)
        for name in order:
            taken[name].append(_time_window(engine, streams[name], window, media, audio))
    base = taken[next(iter(settings))]
    return [_speed(name, taken[name], base, len(window), memory[name]) for name in settings]


def clip_window(engine: TalkingHeadPipeline, clip: RenderedClip) -> tuple[EncodedPortrait, Features]:
    """Return the encoded portrait and the audio features (F, 5, blocks, channels) of a clip's first window."""
    model = engine.model
    avatar = encode_framed_portrait(engine, np.array(clip.frames[0]))
    return avatar, context_windows(model.audio.offline(clip.truth.audio))[: model.defaults.window]


def samplings_by_preset(
    engine: TalkingHeadPipeline, sampling: Sampling, presets: Sequence[str]
) -> dict[str, Sampling]:
    """Return the same sampling by each preset, with the preset's number of steps."""
    steps = engine.model.defaults.steps_for
    return {name: replace(sampling, preset=name, steps=steps(name)) for name in presets}


def _time_window(
    engine: TalkingHeadPipeline,
    stream: PipelineState,
    window: Features,
    media: Mp4Output,
    audio: NDArray[np.float32],
) -> WindowTiming:
    start = time.perf_counter()
    watch = StageTimer(engine.model.device)
    frames = engine.generate_windows([(stream, window)], watch)[0][1]
    media.encode(frames, audio, 0)
    whole = time.perf_counter() - start
    seconds = watch.seconds()
    return WindowTiming(seconds["preparing"], seconds["denoising"], seconds["decoding"], whole)


def _peak_memory_mb(engine: TalkingHeadPipeline, stream: PipelineState, window: Features) -> float:
    with PeakMemory() as memory:
        engine.generate_windows([(stream, window)])
    return float(memory.peak) / 1e6


def _speed(
    name: str, turns: list[WindowTiming], base: list[WindowTiming], frames: int, memory: float
) -> Speed:
    whole = median(turn.whole for turn in turns)
    return Speed(
        preset=name,
        denoising_ms=1000 * median(turn.denoising for turn in turns),
        ratio=median(b.denoising / a.denoising for a, b in zip(turns, base, strict=True)),
        whole_ms=1000 * whole,
        whole_ratio=median(b.whole / a.whole for a, b in zip(turns, base, strict=True)),
        frames_a_second=frames / whole,
        memory_mb=memory,
    )
