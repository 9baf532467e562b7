"""How long ways to sample take for one clip window: in one process and in turns, so that what disturbs the machine disturbs all."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from lipstream_models.audio.features import context_windows
from lipstream_models.device.timer import Stopwatch
from lipstream_models.pipeline import (
    EncodedPortrait,
    PipelineState,
    Sampling,
    TalkingHeadPipeline,
)
from lipstream_models.quality.animation import framed_avatar
from lipstream_server.media.live.media_output import Mp4Output
from lipstream_training.data.dataset import Clip

from ..machine.peak_memory import PeakMemory

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Turn:
    """Seconds of one window: conditions, denoising, decoding, and from features to encoded video in all."""

    preparing: float
    denoising: float
    decoding: float
    whole: float


@dataclass(frozen=True)
class Speed:
    """Medians. ratio, whole_ratio: base's time over this preset's, taken turn by turn. frames_a_second: with decoding and
    encoding. memory_mb: of tensors made while a window is, at their most.
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
    """window: (F, 5, blocks, channels) audio features. The first of the settings is what the others are compared with."""
    # From the second window on, motion frames are the model's own; the first call also pays for what is made lazily.
    streams = {
        name: engine.generate_windows([(engine.initial_state(avatar, sampling), window)])[0][0]
        for name, sampling in settings.items()
    }
    memory = {name: _memory(engine, streams[name], window) for name in settings}
    media = Mp4Output(engine.model.size, engine.model.size, engine.model.fps)
    sound = np.zeros(48_000 // engine.model.fps * len(window), np.float32)
    taken: dict[str, list[Turn]] = {name: [] for name in settings}
    order, shuffle = list(settings), random.Random(0)  # noqa: S311  # nothing secret
    for _ in range(turns):
        shuffle.shuffle(order)
        for name in order:
            taken[name].append(_turn(engine, streams[name], window, media, sound))
    base = taken[next(iter(settings))]
    return [_speed(name, taken[name], base, len(window), memory[name]) for name in settings]


def clip_window(engine: TalkingHeadPipeline, clip: Clip) -> tuple[EncodedPortrait, Features]:
    """The person of a held-out clip, and the sound of the clip's first window."""
    model = engine.model
    avatar = framed_avatar(engine, np.array(clip.frames[0]))
    return avatar, context_windows(model.audio.offline(clip.truth.audio))[: model.defaults.window]


def by_presets(
    engine: TalkingHeadPipeline, sampling: Sampling, presets: Sequence[str]
) -> dict[str, Sampling]:
    """The same sampling by each preset, with as many steps as that one takes."""
    steps = engine.model.defaults.steps_for
    return {name: replace(sampling, preset=name, steps=steps(name)) for name in presets}


def _turn(
    engine: TalkingHeadPipeline,
    stream: PipelineState,
    window: Features,
    media: Mp4Output,
    sound: NDArray[np.float32],
) -> Turn:
    begin = time.perf_counter()
    watch = Stopwatch(engine.model.device)
    frames = engine.generate_windows([(stream, window)], watch)[0][1]
    media.encode(frames, sound, 0)
    whole = time.perf_counter() - begin
    took = watch.seconds()
    return Turn(took["preparing"], took["denoising"], took["decoding"], whole)


def _memory(engine: TalkingHeadPipeline, stream: PipelineState, window: Features) -> float:
    with PeakMemory() as memory:
        engine.generate_windows([(stream, window)])
    return float(memory.peak) / 1e6


def _speed(name: str, turns: list[Turn], base: list[Turn], frames: int, memory: float) -> Speed:
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
