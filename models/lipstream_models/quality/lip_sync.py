"""Lip synchronisation: the lip opening of frames against a known track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..portrait import Face, FaceLandmarker, lip_opening

Track = NDArray[np.float64]
CLOSED = 0.03
"""Lip opening of closed lips, at most, in inter-ocular distances; 0.006 in the median of true renders."""
LAGS = range(-8, 9)


@dataclass(frozen=True)
class LipSync:
    """Agreement of two lip tracks.

    Attributes:
        correlation: Pearson's, at lag 0.
        lag: Frames by which the measured lips trail the true ones, where the correlation is largest.
        closures: Share of the true closures at which the lips are closed within one frame; NaN without any.
    """

    correlation: float
    lag: int
    closures: float


def face_track(frames: NDArray[np.uint8], landmarker: FaceLandmarker) -> list[Face | None]:
    """Track the largest face through (T, H, W, 3) frames; None where there is none."""
    faces: list[Face | None] = []
    face: Face | None = None
    for frame in frames:
        image = np.ascontiguousarray(frame)
        face = landmarker.track(image, face.landmarks) if face is not None else None
        if face is None:
            face = next(iter(landmarker.detect(image)), None)
        faces.append(face)
    return faces


def lip_track(frames: NDArray[np.uint8], landmarker: FaceLandmarker) -> Track:
    """Return the lip opening (T,) of (T, H, W, 3) frames in inter-ocular distances; NaN without a face."""
    return lip_openings(face_track(frames, landmarker))


def lip_openings(faces: Sequence[Face | None]) -> Track:
    """Return the lip openings (T,) in inter-ocular distances; NaN without a face."""
    return np.array([np.nan if face is None else lip_opening(face.landmarks) for face in faces])


def compare_tracks(measured: Track, truth: Track, closures: NDArray[np.int64]) -> LipSync:
    """Compare lip openings (T,) with true ones (T,) and closures (n,); unknown frames are left out."""
    by_lag = {lag: _correlation(*_shifted(measured, truth, lag)) for lag in LAGS}
    return LipSync(by_lag[0], max(by_lag, key=lambda lag: by_lag[lag]), closed_share(measured, closures))


def closed_share(measured: Track, closures: NDArray[np.int64]) -> float:
    """Return the share of closures (n,), as frame indices, at which the track (T,) is closed within a frame."""
    near = [measured[max(0, i - 1) : i + 2] for i in closures if i < len(measured)]
    if not near:
        return float("nan")
    return float(np.mean([np.nanmin(values) < CLOSED for values in near if not np.isnan(values).all()]))


def _shifted(measured: Track, truth: Track, lag: int) -> tuple[Track, Track]:
    """Pair measured frames with the truth `lag` frames earlier."""
    if lag >= 0:
        return measured[lag:], truth[: len(truth) - lag]
    return measured[:lag], truth[-lag:]


def _correlation(a: Track, b: Track) -> float:
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3 or a[known].std() == 0 or b[known].std() == 0:
        return 0.0
    return float(np.corrcoef(a[known], b[known])[0, 1])
