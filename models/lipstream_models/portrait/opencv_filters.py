"""OpenCV's bilinear resize, Gaussian blur and min-max normalisation of 8-bit images, in numpy.

Kept in place of opencv-python: Hallo's masks are bit-exact to OpenCV (4.x and 5.0 agree), which the golden
tests hold, without a dependency of 60 MB for three small filters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .region import Pixels

RESIZE_BITS = 11


def resize_linear(image: Pixels, size: int) -> Pixels:
    """Resize (H, W) -> (size, size) with two taps an axis and no antialiasing (INTER_LINEAR)."""
    rows, row_weights = _taps(image.shape[0], size)
    columns, column_weights = _taps(image.shape[1], size)
    values = image.astype(np.int64)
    across = (values[:, columns] * column_weights).sum(axis=2)  # (H, size)
    # OpenCV's 8-bit kernel drops bits of the vertical pass in this order.
    scaled = ((across >> 4)[rows] * row_weights[..., None]) >> 16  # (size, 2, size)
    resized: Pixels = np.clip((scaled.sum(axis=1) + 2) >> 2, 0, 255).astype(np.uint8)
    return resized


def _taps(length: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (size, 2) source indices and (size, 2) 11-bit weights."""
    position = (np.arange(size) + 0.5) * (length / size) - 0.5
    first = np.floor(position).astype(np.int64)
    part = (position - first).astype(np.float32)
    part[(first < 0) | (first >= length - 1)] = 0.0
    first = np.clip(first, 0, length - 1)
    second = np.rint(part * (1 << RESIZE_BITS)).astype(np.int64)
    indices = np.stack([first, np.minimum(first + 1, length - 1)], axis=1)
    return indices, np.stack([(1 << RESIZE_BITS) - second, second], axis=1)


def gaussian_kernel(taps: int) -> NDArray[np.int64]:
    """Return (taps,) weights in 256ths that add up to 256, for an odd number of taps.

    sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8, OpenCV's rule for "sigma 0"; rounding errors are carried from
    the ends to the centre.
    """
    sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8
    distance = np.arange(taps) - (taps - 1) / 2
    exact = np.exp(-(distance**2) / (2 * sigma**2))
    exact = exact / exact.sum() * 256.0
    weights = np.zeros(taps, np.int64)
    carried = 0.0
    for index in range(taps // 2):
        target = exact[index] + carried
        weights[index] = weights[-1 - index] = round(target)
        carried = target - weights[index]
    weights[taps // 2] = 256 - weights.sum()
    return weights


def gaussian_blur(image: Pixels, taps: int) -> Pixels:
    """Blur (H, W) -> (H, W), mirrored at the border without repeating its pixel (REFLECT_101)."""
    weights, reach = gaussian_kernel(taps), taps // 2
    padded = np.pad(image.astype(np.int64), reach, mode="reflect")
    across = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=1) @ weights
    down = np.lib.stride_tricks.sliding_window_view(across, taps, axis=0) @ weights
    blurred: Pixels = np.clip((down + (1 << 15)) >> 16, 0, 255).astype(np.uint8)
    return blurred


def normalise_minmax(image: Pixels) -> Pixels:
    """Scale (H, W) values so that the lowest is 0 and the highest 255 (NORM_MINMAX); they must differ.

    Computed in single precision with one rounding for multiply and add, as with fused multiply-add.
    """
    low, high = int(image.min()), int(image.max())
    scale = 255.0 * (1.0 / (high - low))
    product = image.astype(np.float64) * float(np.float32(scale)) + float(np.float32(-low * scale))
    return np.clip(np.rint(product.astype(np.float32)), 0, 255).astype(np.uint8)
