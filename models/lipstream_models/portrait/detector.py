"""Finding faces: MediaPipe's short-range BlazeFace, its anchors and its weighted non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .region import Floats, Pixels, Region
from .tflite import Network

INPUT_SIZE = 128
KEYPOINTS = 6  # right eye, left eye, nose tip, mouth, right ear, left ear
SCORE_CLIP = 80.0  # keeps exp inside float32


@dataclass(frozen=True, eq=False)
class Detection:
    """`box` (x0, y0, x1, y1) and `keypoints` (6, 2) in image pixels; `score` 0..1."""

    box: Floats
    keypoints: Floats
    score: float


class FaceDetector:
    """One pass of BlazeFace over a square of an image; faces from about a tenth of its side upwards."""

    def __init__(self, network: Network, min_score: float = 0.5, max_overlap: float = 0.3) -> None:
        self._network = network
        self._anchors = _anchors()
        self._min_score = min_score
        self._max_overlap = max_overlap

    def detect(self, image: Pixels, region: Region) -> list[Detection]:
        """Faces inside `region`, best score first, overlapping answers merged."""
        pixels = region.sample(image, INPUT_SIZE).astype(np.float32) / 127.5 - 1.0
        boxes, logits = self._network.run(pixels[None])
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits.reshape(-1), -SCORE_CLIP, SCORE_CLIP)))
        keep = scores >= self._min_score
        values = boxes.reshape(-1, 2 + KEYPOINTS, 2)[keep] / INPUT_SIZE
        centre = values[:, 0] + self._anchors[keep]
        half = values[:, 1] / 2
        corners = np.stack([centre - half, centre + half], axis=1)
        points = np.concatenate([corners, values[:, 2:] + self._anchors[keep, None]], axis=1)
        placed = region.to_image(points.reshape(-1, 2).astype(np.float32)).reshape(points.shape)
        return merge_overlapping(placed, scores[keep].astype(np.float32), self._max_overlap)


def merge_overlapping(points: Floats, scores: Floats, max_overlap: float) -> list[Detection]:
    """Weighted non-maximum suppression.

    `points` (N, 2 + K, 2): two box corners and K keypoints. Answers that overlap the best one by more than
    `max_overlap` (intersection over union) are averaged into it by score; its own score is kept.
    """
    left = np.argsort(-scores, kind="stable")
    found = []
    while left.size:
        best = left[0]
        overlap = _overlaps(points[best, :2], points[left, :2])
        # the best one always joins its own group, even when its box is degenerate
        group = np.where((overlap > max_overlap) | (left == best))[0]
        weights = scores[left[group]]
        mean = np.average(points[left[group]], axis=0, weights=weights).astype(np.float32)
        found.append(Detection(mean[:2].reshape(4), mean[2:], float(scores[best])))
        left = np.delete(left, group)
    return found


def _overlaps(box: Floats, others: Floats) -> Floats:
    low, high = np.maximum(box[0], others[:, 0]), np.minimum(box[1], others[:, 1])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = np.prod(box[1] - box[0]) + (others[:, 1] - others[:, 0]).prod(axis=1) - shared
    overlaps: Floats = shared / np.maximum(union, 1e-9)
    return overlaps


def _anchors() -> Floats:
    """(896, 2) anchor centres 0..1: a 16 x 16 grid with two anchors a cell, then 8 x 8 with six."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        grids.append(grid.repeat(repeats, axis=0))
    return np.concatenate(grids)
