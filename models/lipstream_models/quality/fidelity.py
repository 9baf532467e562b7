"""Fidelity of presets: to the base sampler from the same noise, and to the true video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError
from ..pipeline import TalkingHeadPipeline
from ..portrait import FaceLandmarker
from ..sampling import Sampling
from .animation import animate_portrait
from .image_quality import (
    Boxes,
    Frames,
    largest_difference,
    psnr,
    ssim,
)
from .lip_sync import compare_tracks, lip_track

SAME_DB = 90.0
"""PSNR above which frames are equal; rounding to 8 bits is far below."""


@dataclass(frozen=True, eq=False)
class ReferenceClip:
    """A true video of T frames, which a model should generate from its first frame and its audio.

    Attributes:
        name: Name for messages and tables.
        frames: (T, H, W, 3) uint8 at the model's size and rate.
        audio: (N,) at 16 kHz.
        lip_opening: (T,), NaN where unknown.
        closures: Frames at which the lips are closed; empty where unknown.
        face_box: (T, 4) left, top, right, bottom in pixels.
    """

    name: str
    frames: Frames
    audio: NDArray[np.float32]
    lip_opening: NDArray[np.float64]
    closures: NDArray[np.int64]
    face_box: Boxes


@dataclass(frozen=True)
class Fidelity:
    """Fidelity of one preset.

    Attributes:
        preset: Its name.
        psnr_db: PSNR to base.
        ssim: SSIM to base.
        largest_face_difference: Mean absolute difference to base inside the face, in levels of 255, of the
            frame in which it is largest.
        lip_correlation: Correlation of the lip opening with the true video.
        lag_frames: Frames by which the lips trail the true ones.
        closures: Share of the true lip closures that are generated.
        face_db: PSNR of the face to the true video.
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
        """PSNR to base, formatted for a table."""
        return "same" if self.psnr_db > SAME_DB else f"{self.psnr_db:.1f}"


@dataclass(frozen=True, eq=False)
class PresetResult:
    """Frames that a preset generated of a clip.

    Attributes:
        preset: Its name.
        frames: (F, H, W, 3) uint8.
        denoising: Seconds of denoising of each window.
        fidelity: Fidelity of the frames.
    """

    preset: str
    frames: Frames
    denoising: tuple[float, ...]
    fidelity: Fidelity


def compare_presets(
    pipeline: TalkingHeadPipeline,
    clip: ReferenceClip,
    samplings: Mapping[str, Sampling],
    landmarker: FaceLandmarker,
) -> Iterator[PresetResult]:
    """Generate a clip by each sampling and compare it with the first one, which equals itself.

    Raises:
        LipstreamError: The clip is shorter than a window.
    """
    base: Frames | None = None
    for name, sampling in samplings.items():
        windows = list(animate_portrait(pipeline, np.array(clip.frames[0]), clip.audio, sampling))
        if not windows:
            raise LipstreamError(
                f"{clip.name}: expected at least {pipeline.model.defaults.window} frames with audio, got {len(clip.frames)}"
            )
        generated = np.concatenate([window.frames for window in windows])
        base = generated if base is None else base
        fidelity = compare_frames(name, generated, base, clip, landmarker)
        yield PresetResult(name, generated, tuple(window.denoising for window in windows), fidelity)


def compare_frames(
    name: str, generated: Frames, base: Frames, clip: ReferenceClip, landmarker: FaceLandmarker
) -> Fidelity:
    """Compare generated frames (F, H, W, 3) with base (F, H, W, 3) and a clip of at least F frames."""
    length = len(generated)
    boxes = clip.face_box[:length]
    sync = compare_tracks(lip_track(generated, landmarker), clip.lip_opening[:length], clip.closures)
    return Fidelity(
        preset=name,
        psnr_db=psnr(generated, base),
        ssim=ssim(generated, base),
        largest_face_difference=largest_difference(generated, base, boxes),
        lip_correlation=sync.correlation,
        lag_frames=sync.lag,
        closures=sync.closures,
        face_db=psnr(generated, np.array(clip.frames[:length]), boxes),
    )


def mean_fidelity(name: str, rows: Sequence[Fidelity]) -> Fidelity:
    """Return the means over clips; unknown figures (NaN) are left out."""
    figures = [field for field in Fidelity.__dataclass_fields__ if field != "preset"]
    return Fidelity(
        name, **{figure: mean_of_known([getattr(row, figure) for row in rows]) for figure in figures}
    )


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN; NaN without any."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
