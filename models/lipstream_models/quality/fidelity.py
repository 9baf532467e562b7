"""How far from the base sampler a preset ends, from the same noise; and how far both are from the true video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError
from ..pipeline import Sampling, TalkingHeadPipeline
from ..portrait import FaceLandmarker
from .animation import animate
from .image_quality import (
    Boxes,
    Frames,
    largest_difference,
    psnr,
    similarity,
)
from .lip_sync import compare, lip_track

SAME_DB = 90.0
"""A PSNR above it is of equal frames: what rounding to 8 bits leaves is far below."""


@dataclass(frozen=True, eq=False)
class TrueClip:
    """A video of T frames that a model should have made of its first frame and its sound.

    frames: (T, H, W, 3) uint8 at the model's size and rate; audio: (N,) at 16 kHz; lip_opening: (T,), NaN where unknown; closures:
    frames at which the lips are closed, empty where that is not known; face_box: (T, 4) left, top, right, bottom in pixels.
    """

    name: str
    frames: Frames
    audio: NDArray[np.float32]
    lip_opening: NDArray[np.float64]
    closures: NDArray[np.int64]
    face_box: Boxes


@dataclass(frozen=True)
class Fidelity:
    """psnr_db, ssim, largest_face_difference: against base, the last in levels of 255: the mean of the face of that frame in which
    it is largest. lip_correlation, lag_frames, closures, face_db: against the true video.
    """

    preset: str
    psnr_db: float
    ssim: float
    largest_face_difference: float
    lip_correlation: float
    lag_frames: float
    closures: float
    face_db: float

    @property
    def decibels(self) -> str:
        """PSNR to base for a table."""
        return "same" if self.psnr_db > SAME_DB else f"{self.psnr_db:.1f}"


@dataclass(frozen=True, eq=False)
class Compared:
    """What a preset made of a clip. frames: (F, H, W, 3); denoising: seconds of each window."""

    preset: str
    frames: Frames
    denoising: tuple[float, ...]
    fidelity: Fidelity


def compare_presets(
    engine: TalkingHeadPipeline, clip: TrueClip, samplings: Mapping[str, Sampling], landmarker: FaceLandmarker
) -> Iterator[Compared]:
    """One after the other. The first is what the others are compared with; it agrees with itself without an error."""
    base: Frames | None = None
    for name, sampling in samplings.items():
        windows = list(animate(engine, np.array(clip.frames[0]), clip.audio, sampling))
        if not windows:
            raise LipstreamError(
                f"{clip.name}: expected at least {engine.model.defaults.window} frames with sound, got {len(clip.frames)}"
            )
        made = np.concatenate([window.frames for window in windows])
        base = made if base is None else base
        fidelity = compare_frames(name, made, base, clip, landmarker)
        yield Compared(name, made, tuple(window.denoising for window in windows), fidelity)


def compare_frames(
    name: str, made: Frames, base: Frames, clip: TrueClip, landmarker: FaceLandmarker
) -> Fidelity:
    """made, base: (F, H, W, 3), F at most the clip's length."""
    length = len(made)
    boxes = clip.face_box[:length]
    sync = compare(lip_track(made, landmarker), clip.lip_opening[:length], clip.closures)
    return Fidelity(
        preset=name,
        psnr_db=psnr(made, base),
        ssim=similarity(made, base),
        largest_face_difference=largest_difference(made, base, boxes),
        lip_correlation=sync.correlation,
        lag_frames=sync.lag,
        closures=sync.closures,
        face_db=psnr(made, np.array(clip.frames[:length]), boxes),
    )


def mean_fidelity(name: str, rows: Sequence[Fidelity]) -> Fidelity:
    """Means over clips; what is unknown of a clip (NaN) is left out."""
    figures = [field for field in Fidelity.__dataclass_fields__ if field != "preset"]
    return Fidelity(
        name, **{figure: known_mean([getattr(row, figure) for row in rows]) for figure in figures}
    )


def known_mean(values: Sequence[float]) -> float:
    """Of what is known; NaN where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
