"""Idle animation: frames between utterances, produced when they are due and never queued."""

from __future__ import annotations

from ..media.arrays import Frame, Frames


class IdleLoop:
    """A few frames (N, H, W, 3), N >= 1, played forwards and backwards, so that the loop has no jump."""

    def __init__(self, frames: Frames) -> None:
        if not len(frames):
            raise ValueError("expected at least one idle frame, got none")
        self._frames: tuple[Frame, ...] = tuple(
            frames
        )  # the same arrays each time, so that encoders can cache them
        self._count = 0

    def restart(self) -> None:
        """Continue with the first frame."""
        self._count = 0

    def next_frame(self) -> Frame:
        """Return the next frame (H, W, 3)."""
        last = len(self._frames) - 1
        position = self._count % max(1, 2 * last)
        self._count += 1
        return self._frames[position if position <= last else 2 * last - position]
