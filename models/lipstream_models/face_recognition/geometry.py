"""Pre- and post-processing of insightface's models: letterbox, box decoding, suppression, face alignment."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ..portrait.region import Floats, Pixels
from ..portrait.similarity_transform import fit_similarity

# Positions of eyes, nose and mouth corners in ArcFace's aligned face of 112 x 112 pixels.
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
    """A detected face in pixels of the original image.

    Attributes:
        score: 0..1.
        box: (4,) left, top, right, bottom.
        points: (5, 2) x, y of eyes, nose and mouth corners.
    """

    score: float
    box: Floats
    points: Floats

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return float((self.box[2] - self.box[0]) * (self.box[3] - self.box[1]))


def letterbox(image: Pixels, size: int) -> tuple[Pixels, float]:
    """Fit an image (H, W, 3) into the upper left of a black square (size, size, 3), keeping proportions.

    Returns:
        The square, and the scale of the image in it.
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
    """Decode one level of the detector, whose anchors lie on a grid, row by row.

    Args:
        scores: (N,), the same number for each cell.
        boxes: (N, 4) distances from the anchor to the box's sides, in strides.
        points: (N, 10) distances to the five points, in strides.
        stride: Pixels from one cell to the next.
        width: Columns of the grid.
        threshold: Lowest score.

    Returns:
        Scores (n,), boxes (n, 4) and points (n, 5, 2) of the detections above the threshold.
    """
    anchors = max(1, len(scores) // (width * width))
    chosen = np.flatnonzero(scores >= threshold)
    cell = chosen // anchors
    centre = np.stack([cell % width, cell // width], axis=1).astype(np.float32) * stride
    distance = boxes[chosen] * stride
    corners = np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1)
    landmarks = centre[:, None] + points[chosen].reshape(-1, 5, 2) * stride
    return scores[chosen], corners.astype(np.float32), landmarks.astype(np.float32)


def suppress_overlaps(boxes: Floats, scores: Floats, overlap: float) -> list[int]:
    """Return the indices of boxes (N, 4) after greedy non-maximum suppression, best first; scores (N,)."""
    sizes = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    remaining = np.argsort(-scores, kind="stable")
    selected = []
    while remaining.size:
        best, remaining = remaining[0], remaining[1:]
        selected.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[remaining, :2])
        high = np.minimum(boxes[best, 2:], boxes[remaining, 2:])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        remaining = remaining[shared / (sizes[best] + sizes[remaining] - shared) <= overlap]
    return selected


def align_face(image: Pixels, points: Floats, size: int = ALIGNED_SIZE) -> Pixels:
    """Warp (H, W, 3) to (size, size, 3) so that the points (5, 2) come to ArcFace's; black outside."""
    target = np.array(ARCFACE_POINTS, dtype=np.float32) * (size / ALIGNED_SIZE)
    matrix = np.vstack([fit_similarity(points, target).matrix, [0, 0, 1]])
    inverse = np.linalg.inv(matrix)[:2]
    rows, columns = np.mgrid[:size, :size]
    source = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ inverse.T  # (size, size, 2) x, y
    height, width = image.shape[:2]
    # grid_sample counts from the outer pixel edges, -1 to 1.
    grid = (2 * source + 1) / np.array([width, height]) - 1
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    warped = F.grid_sample(
        pixels,
        torch.from_numpy(grid)[None].float(),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return warped[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
