"""Comparisons of frames: PSNR, SSIM, largest difference and sharpness."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError

Frames = NDArray[np.uint8]
Boxes = NDArray[np.float32]


def psnr(frames: Frames, truth: Frames, boxes: Boxes | None = None) -> float:
    """Return the PSNR in decibels of (T, H, W, 3) uint8 frames.

    Args:
        frames: (T, H, W, 3).
        truth: (T, H, W, 3).
        boxes: (T, 4) left, top, right, bottom of the part of each frame that counts; None for all of it.
    """
    if boxes is None:
        error = np.mean((frames.astype(np.float32) - truth.astype(np.float32)) ** 2)
    else:
        parts = [
            (crop_box(a, box).astype(np.float32) - crop_box(b, box).astype(np.float32)) ** 2
            for a, b, box in zip(frames, truth, boxes, strict=True)
        ]
        error = sum(part.sum() for part in parts) / sum(part.size for part in parts)
    return psnr_of_error(float(error), 255)


def psnr_of_error(mean_squared_error: float, peak: float) -> float:
    """Return the PSNR in decibels of values whose range is `peak`."""
    return 10 * math.log10(peak**2 / max(mean_squared_error, 1e-9 * (peak / 255) ** 2))


def ssim(frames: Frames, truth: Frames) -> float:
    """Return the mean structural similarity of (T, H, W, 3) uint8 frames; 1 where they are equal.

    Raises:
        LipstreamError: scikit-image is not installed.
    """
    measure = _structural_similarity()
    return float(np.mean([measure(a, b, channel_axis=-1) for a, b in zip(frames, truth, strict=True)]))


def require_ssim() -> None:
    """Raise LipstreamError where `ssim` would, before anything is computed."""
    _structural_similarity()


def largest_difference(frames: Frames, truth: Frames, boxes: Boxes) -> float:
    """Return the mean absolute difference inside the box of the frame in which it is largest.

    Args:
        frames: (T, H, W, 3) uint8.
        truth: (T, H, W, 3) uint8.
        boxes: (T, 4).

    Returns:
        Levels of 255.
    """
    return max(
        float(np.abs(crop_box(a, box).astype(np.float32) - crop_box(b, box).astype(np.float32)).mean())
        for a, b, box in zip(frames, truth, boxes, strict=True)
    )


def sharpness(frames: Frames, boxes: Boxes) -> float:
    """Return the mean absolute Laplacian of the brightness of (T, H, W, 3) frames inside boxes (T, 4)."""
    values = []
    for frame, box in zip(frames, boxes, strict=True):
        grey = crop_box(frame, box).astype(np.float32).mean(axis=-1)
        inner = grey[1:-1, 1:-1]
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        values.append(np.abs(around - 4 * inner).mean())
    return float(np.mean(values))


def crop_box(frame: Frames, box: NDArray[np.float32]) -> Frames:
    """Return the part of a frame (H, W, 3) inside a box (4,), as (h, w, 3)."""
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
