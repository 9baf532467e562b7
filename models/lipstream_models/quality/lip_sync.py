"""How well lips follow a known track, measured on pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..portrait import Face, FaceLandmarker, lip_opening

Track = NDArray[np.float64]
CLOSED = 0.03  # of the inter-ocular distance; closed lips of true renders measure 0.006 in the median
LAGS = range(-8, 9)


@dataclass(frozen=True)
class LipSync:
    """correlation: Pearson, at lag 0. lag: frames by which the measured lips trail the true ones where the correlation is
    largest. closures: share of the given closures at which the lips are closed within one frame; NaN without closures."""

    correlation: float
    lag: int
    closures: float


def face_track(frames: NDArray[np.uint8], landmarker: FaceLandmarker) -> list[Face | None]:
    """(T, H, W, 3) -> the face of each frame, followed from frame to frame; None where there is none."""
    found: list[Face | None] = []
    face: Face | None = None
    for frame in frames:
        picture = np.ascontiguousarray(frame)
        face = landmarker.track(picture, face.landmarks) if face is not None else None
        if face is None:
            face = next(iter(landmarker.detect(picture)), None)
        found.append(face)
    return found


def lip_track(frames: NDArray[np.uint8], landmarker: FaceLandmarker) -> Track:
    """(T, H, W, 3) -> lip opening per frame (T,), in inter-ocular distances; NaN where no face is found."""
    return lip_openings(face_track(frames, landmarker))


def lip_openings(faces: Sequence[Face | None]) -> Track:
    """(T,), in inter-ocular distances; NaN where there is no face."""
    return np.array([np.nan if face is None else lip_opening(face.landmarks) for face in faces])


def compare(measured: Track, truth: Track, closures: NDArray[np.int64]) -> LipSync:
    """Both tracks (T,); frames without a measurement are left out."""
    by_lag = {lag: _correlation(*_shifted(measured, truth, lag)) for lag in LAGS}
    return LipSync(by_lag[0], max(by_lag, key=lambda lag: by_lag[lag]), closed_share(measured, closures))


def closed_share(measured: Track, closures: NDArray[np.int64]) -> float:
    near = [measured[max(0, i - 1) : i + 2] for i in closures if i < len(measured)]
    if not near:
        return float("nan")
    return float(np.mean([np.nanmin(values) < CLOSED for values in near if not np.isnan(values).all()]))


def _shifted(measured: Track, truth: Track, lag: int) -> tuple[Track, Track]:
    """Measured frames against the truth ``lag`` frames earlier."""
    if lag >= 0:
        return measured[lag:], truth[: len(truth) - lag]
    return measured[:lag], truth[-lag:]


def _correlation(a: Track, b: Track) -> float:
    there = ~(np.isnan(a) | np.isnan(b))
    if there.sum() < 3 or a[there].std() == 0 or b[there].std() == 0:
        return 0.0
    return float(np.corrcoef(a[there], b[there])[0, 1])
