"""Face detection: MediaPipe's short-range BlazeFace with weighted non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .region import Floats, Pixels, Region
from .tflite import TfliteModel

INPUT_SIZE = 128
KEYPOINTS = 6  # right eye, left eye, nose tip, mouth, right ear, left ear
SCORE_CLIP = 80.0  # keeps exp inside float32


@dataclass(frozen=True, eq=False)
class Detection:
    """A detected face: `box` (4,) x0, y0, x1, y1 and `keypoints` (6, 2) in image pixels; `score` 0..1."""

    box: Floats
    keypoints: Floats
    score: float


class FaceDetector:
    """BlazeFace on square regions of an image; finds faces from about a tenth of the region's side."""

    def __init__(self, model: TfliteModel, min_score: float = 0.5, max_overlap: float = 0.3) -> None:
        self._model = model
        self._anchors = _anchors()
        self._min_score = min_score
        self._max_overlap = max_overlap

    def detect(self, image: Pixels, region: Region) -> list[Detection]:
        """Return the faces inside `region` of an (H, W, 3) image, best score first, overlaps merged."""
        pixels = region.sample(image, INPUT_SIZE).astype(np.float32) / 127.5 - 1.0
        boxes, logits = self._model.run(pixels[None])
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1), -SCORE_CLIP, SCORE_CLIP)))
        keep = scores >= self._min_score
        values = boxes.reshape(-1, 2 + KEYPOINTS, 2)[keep] / INPUT_SIZE
        centre = values[:, 0] + self._anchors[keep]
        half = values[:, 1] / 2
        corners = np.stack([centre - half, centre + half], axis=1)
        points = np.concatenate([corners, values[:, 2:] + self._anchors[keep, None]], axis=1)
        in_image = region.to_image(points.reshape(-1, 2).astype(np.float32)).reshape(points.shape)
        return merge_overlapping(in_image, scores[keep].astype(np.float32), self._max_overlap)


def merge_overlapping(points: Floats, scores: Floats, max_overlap: float) -> list[Detection]:
    """Merge detections by weighted non-maximum suppression.

    Detections that overlap the best one by more than `max_overlap` are averaged into it, weighted by score;
    the score of the best one is kept.

    Args:
        points: (N, 2 + K, 2) two box corners and K keypoints of each detection.
        scores: (N,).
        max_overlap: Intersection over union, 0..1.
    """
    remaining = np.argsort(-scores, kind="stable")
    detections = []
    while remaining.size:
        best = remaining[0]
        overlap = _intersection_over_union(points[best, :2], points[remaining, :2])
        # The best one always joins its own group, even when its box is degenerate.
        group = np.where((overlap > max_overlap) | (remaining == best))[0]
        weights = scores[remaining[group]]
        mean = np.average(points[remaining[group]], axis=0, weights=weights).astype(np.float32)
        detections.append(Detection(mean[:2].reshape(4), mean[2:], float(scores[best])))
        remaining = np.delete(remaining, group)
    return detections


def _intersection_over_union(box: Floats, others: Floats) -> Floats:
    """Compare a box (2, 2) of corners with boxes (N, 2, 2); (N,)."""
    low, high = np.maximum(box[0], others[:, 0]), np.minimum(box[1], others[:, 1])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = np.prod(box[1] - box[0]) + (others[:, 1] - others[:, 0]).prod(axis=1) - shared
    overlaps: Floats = shared / np.maximum(union, 1e-9)
    return overlaps


def _anchors() -> Floats:
    """Return (896, 2) anchor centres 0..1: two for each cell of a 16 x 16 grid, then six of 8 x 8."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        grids.append(grid.repeat(repeats, axis=0))
    return np.concatenate(grids)
