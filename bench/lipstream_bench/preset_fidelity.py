"""How far from the base sampler a preset ends, from the same noise; and how far both are from the true render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from lipstream_models.engine import Engine, Sampling
from lipstream_models.portrait import FaceLandmarker
from lipstream_training.dataset import Clip

from .evaluate_model import animate
from .lip_sync import compare, lip_track
from .picture_quality import cut, psnr

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Fidelity:
    """Means over the clips. psnr_db, ssim, largest_face_difference: against base, the last in levels of 255: the mean of the
    face of that frame in which it is largest. lip_correlation, closures, face_db: against the true render.
    """

    preset: str
    psnr_db: float
    ssim: float
    largest_face_difference: float
    lip_correlation: float
    closures: float
    face_db: float


def measure_fidelity(
    engine: Engine, clips: Sequence[Clip], settings: Mapping[str, Sampling]
) -> list[Fidelity]:
    """The first of the settings is what the others are compared with; it agrees with itself without an error."""
    landmarker = FaceLandmarker()
    rows: dict[str, list[Fidelity]] = {name: [] for name in settings}
    for clip in clips:
        base: Frames | None = None
        for name, sampling in settings.items():
            parts = animate(engine, np.array(clip.frames[0]), clip.truth.audio, sampling)
            made = np.concatenate(list(parts))
            base = made if base is None else base
            rows[name].append(_compare(name, made, base, clip, landmarker))
    return [_mean(name, rows[name]) for name in settings]


def _compare(name: str, made: Frames, base: Frames, clip: Clip, landmarker: FaceLandmarker) -> Fidelity:
    truth, length = clip.truth, len(made)
    boxes = truth.face_box[:length]
    sync = compare(lip_track(made, landmarker), truth.lip_opening[:length].astype(np.float64), truth.closures)
    return Fidelity(
        preset=name,
        psnr_db=psnr(made, base),
        ssim=float(
            np.mean([structural_similarity(a, b, channel_axis=-1) for a, b in zip(made, base, strict=True)])
        ),
        largest_face_difference=max(
            _difference(a, b, box) for a, b, box in zip(made, base, boxes, strict=True)
        ),
        lip_correlation=sync.correlation,
        closures=sync.closures,
        face_db=psnr(made, np.array(clip.frames[:length]), boxes),
    )


def _difference(a: Frames, b: Frames, box: NDArray[np.float32]) -> float:
    return float(np.abs(cut(a, box).astype(np.float32) - cut(b, box).astype(np.float32)).mean())


def _mean(name: str, rows: Sequence[Fidelity]) -> Fidelity:
    figures = [field for field in Fidelity.__dataclass_fields__ if field != "preset"]
    return Fidelity(
        name, **{figure: float(np.nanmean([getattr(row, figure) for row in rows])) for figure in figures}
    )
