"""Arithmetic around insightface's face models: decoding boxes, suppressing doubles, aligning faces. numpy
and torch only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# Where eyes, nose and mouth corners go in an aligned face of 112 x 112 pixels (ArcFace).
ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
ALIGNED_SIZE = 112


@dataclass(frozen=True)
class DetectedFace:
    """In pixels of the original picture: box (4,) left, top, right, bottom; points (5, 2) x, y."""

    score: float
    box: Floats
    points: Floats

    @property
    def area(self) -> float:
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


def letterbox(image: Pixels, size: int) -> tuple[Pixels, float]:
    """Fit a picture (H, W, 3) into the upper left of a black square, keeping proportions; returns it and
    the scale.
    """
    height, width = image.shape[:2]
    tall = height > width
    new_height = size if tall else max(1, int(size * height / width))
    new_width = max(1, int(size * width / height)) if tall else size
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    resized = F.interpolate(pixels, (new_height, new_width), mode="bilinear", align_corners=False)
    square = np.zeros((size, size, 3), dtype=np.uint8)
    square[:new_height, :new_width] = resized[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    return square, new_height / height


def decode_level(
    scores: Floats, boxes: Floats, points: Floats, stride: int, width: int, threshold: float
) -> tuple[Floats, Floats, Floats]:
    """One level of the detector: scores (N,), distances to the box's sides (N, 4) and to the points (N,
    10), in strides.

    Anchors lie on a grid of `width` columns, row by row, each cell the same number of times.
    Returns scores (n,), boxes (n, 4) and points (n, 5, 2) above the threshold.
    """
    anchors = max(1, len(scores) // (width * width))
    chosen = np.flatnonzero(scores >= threshold)
    cell = chosen // anchors
    centre = np.stack([cell % width, cell // width], axis=1).astype(np.float32) * stride
    distance = boxes[chosen] * stride
    corners = np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1)
    places = centre[:, None] + points[chosen].reshape(-1, 5, 2) * stride
    return scores[chosen], corners.astype(np.float32), places.astype(np.float32)


def suppress(boxes: Floats, scores: Floats, overlap: float) -> list[int]:
    """Greedy non-maximum suppression; indices of the boxes that stay, best first."""
    sizes = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while waiting.size:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[waiting, :2])
        high = np.minimum(boxes[best, 2:], boxes[waiting, 2:])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        waiting = waiting[shared / (sizes[best] + sizes[waiting] - shared) <= overlap]
    return kept


def similarity(source: Floats, target: Floats) -> npt.NDArray[np.float64]:
    """The (2, 3) matrix of rotation, uniform scale and shift that brings source (n, 2) closest to target
    (Umeyama 1991).
    """
    a, b = source.astype(np.float64), target.astype(np.float64)
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    a, b = a - centre_a, b - centre_b
    left, values, right = np.linalg.svd(b.T @ a / len(a))
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(signs) @ right
    scale = (values * signs).sum() / np.square(a).sum(axis=1).mean()
    return np.concatenate([scale * rotation, (centre_b - scale * rotation @ centre_a)[:, None]], axis=1)


def align(image: Pixels, points: Floats, size: int = ALIGNED_SIZE) -> Pixels:
    """Warp a picture (H, W, 3) so that the five points come to ArcFace's places; black outside, (size,
    size, 3).
    """
    target = np.array(ARCFACE_POINTS, dtype=np.float32) * (size / ALIGNED_SIZE)
    matrix = np.vstack([similarity(points, target), [0, 0, 1]])
    back = np.linalg.inv(matrix)[:2]
    rows, columns = np.mgrid[:size, :size]
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back.T  # (size, size, 2) x, y
    height, width = image.shape[:2]
    # grid_sample counts from the outer pixel edges, -1 to 1.
    grid = (2 * places + 1) / np.array([width, height]) - 1
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    warped = F.grid_sample(
        pixels,
        torch.from_numpy(grid)[None].float(),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return warped[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
