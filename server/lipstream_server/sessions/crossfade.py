"""Soft passages between what a face does when it is idle and when it speaks: both begin near the portrait, but not in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


class Crossfade:
    """frames: how many pictures (H, W, 3) after a passage still show something of the one before it; 0 for a cut."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._from: Frame | None = None
        self._count = 0

    def begin(self, last: Frame | None) -> None:
        """What comes next does not continue `last`, the picture shown before it; None where nothing was shown."""
        self._from, self._count = last, 0

    def cut(self) -> None:
        """What comes next is shown as it is."""
        self._from = None

    def next(self, picture: Frame) -> Frame:
        """The picture to show instead of this one."""
        self._count += 1
        if self._from is None or self._count > self._frames:
            self._from = None
            return picture
        new = self._count / (self._frames + 1)
        mixed = self._from + (picture.astype(np.float32) - self._from) * np.float32(new)
        faded: Frame = np.rint(mixed).astype(np.uint8)
        return faded
