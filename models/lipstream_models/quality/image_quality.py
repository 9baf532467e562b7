"""Pictures against pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError

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


def similarity(frames: Frames, truth: Frames) -> float:
    """Mean structural similarity of (T, H, W, 3) uint8 frames; 1 where they agree. Raises LipstreamError without scikit-image."""
    measure = _structural_similarity()
    return float(np.mean([measure(a, b, channel_axis=-1) for a, b in zip(frames, truth, strict=True)]))


def require_similarity() -> None:
    """Raises LipstreamError where `similarity` would, before anything was computed."""
    _structural_similarity()


def largest_difference(frames: Frames, truth: Frames, boxes: Boxes) -> float:
    """The mean absolute difference inside the box, in levels of 255, of that frame in which it is largest."""
    return max(
        float(np.abs(cut(a, box).astype(np.float32) - cut(b, box).astype(np.float32)).mean())
        for a, b, box in zip(frames, truth, boxes, strict=True)
    )


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


def _structural_similarity() -> Callable[..., float]:
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise LipstreamError(
            "SSIM needs scikit-image, which is not installed: pip install -e '.[evaluate]'"
        ) from error
    measure: Callable[..., float] = structural_similarity
    return measure
