"""How well lips follow a known track, measured on pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipstream_models.portrait import FaceLandmarker, lip_opening

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


def lip_track(frames: NDArray[np.uint8], landmarker: FaceLandmarker) -> Track:
    """(T, H, W, 3) -> lip opening per frame (T,), in inter-ocular distances; NaN where no face is found."""
    track = np.full(len(frames), np.nan)
    face = None
    for i, frame in enumerate(frames):
        picture = np.ascontiguousarray(frame)
        face = landmarker.track(picture, face.landmarks) if face is not None else None
        if face is None:
            face = next(iter(landmarker.detect(picture)), None)
        if face is not None:
            track[i] = lip_opening(face.landmarks)
    return track


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
