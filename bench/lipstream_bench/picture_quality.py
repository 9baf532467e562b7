"""Pictures against pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Boxes = NDArray[np.float32]


def psnr(frames: Frames, truth: Frames, boxes: Boxes | None = None) -> float:
    """Decibels over (T, H, W, 3) uint8 frames, or over a box (left, top, right, bottom) of each frame."""
    if boxes is None:
        error = np.mean((frames.astype(np.float32) - truth.astype(np.float32)) ** 2)
    else:
        parts = [
            (cut(a, box).astype(np.float32) - cut(b, box).astype(np.float32)) ** 2
            for a, b, box in zip(frames, truth, boxes, strict=True)
        ]
        error = sum(part.sum() for part in parts) / sum(part.size for part in parts)
    return float(10 * np.log10(255**2 / max(float(error), 1e-9)))


def sharpness(frames: Frames, boxes: Boxes) -> float:
    """Mean absolute Laplacian of the brightness inside the boxes."""
    values = []
    for frame, box in zip(frames, boxes, strict=True):
        grey = cut(frame, box).astype(np.float32).mean(axis=-1)
        inner = grey[1:-1, 1:-1]
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        values.append(np.abs(around - 4 * inner).mean())
    return float(np.mean(values))


def cut(frame: Frames, box: NDArray[np.float32]) -> Frames:
    height, width = frame.shape[:2]
    left, top, right, bottom = (int(v) for v in np.asarray(box).round())
    return frame[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
