"""The grid of patches that the autoencoder divides a frame into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lipstream_models.autoencoders.patch_autoencoder import FACTOR


def patches_within(box: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Return which patches (N,) of a frame of ``height`` x ``width`` pixels have their centres in a box.

    Args:
        box: (4,) left, top, right, bottom in pixels.
        height: Pixel rows of the frame.
        width: Pixel columns of the frame.
    """
    y, x = np.mgrid[0 : height // FACTOR, 0 : width // FACTOR] * FACTOR + FACTOR / 2
    left, top, right, bottom = box
    within: NDArray[np.bool_] = ((x > left) & (x < right) & (y > top) & (y < bottom)).ravel()
    return within
