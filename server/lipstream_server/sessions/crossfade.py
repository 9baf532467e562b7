"""Crossfade between idle frames and speech, which both start near the portrait but not at it."""

from __future__ import annotations

import numpy as np

from ..media.arrays import Frame


class Crossfade:
    """Blends the first frames after a transition with the last frame before it.

    Args:
        frames: Number of blended frames; 0 for a cut.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._from: Frame | None = None
        self._count = 0

    def start(self, last: Frame | None) -> None:
        """Start a transition from `last` (H, W, 3), the frame that was shown last; None where nothing was shown."""
        self._from, self._count = last, 0

    def cut(self) -> None:
        """End the transition: the next frames are shown as they are."""
        self._from = None

    def apply(self, frame: Frame) -> Frame:
        """Return the frame (H, W, 3) to show in place of `frame` (H, W, 3)."""
        self._count += 1
        if self._from is None or self._count > self._frames:
            self._from = None
            return frame
        weight = self._count / (self._frames + 1)
        mixed = self._from + (frame.astype(np.float32) - self._from) * np.float32(weight)
        blended: Frame = np.rint(mixed).astype(np.uint8)
        return blended
