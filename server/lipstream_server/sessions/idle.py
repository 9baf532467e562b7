"""What is shown while nobody speaks: asked for when it is due, never queued."""

from __future__ import annotations

from typing import Protocol

from ..media.arrays import (
    Frame,
    Frames,
)


class IdleSource(Protocol):
    def begin(self) -> None:
        """Speech was shown until now."""

    def next(self) -> Frame:
        """The next frame (H, W, 3)."""


class Loop:
    """A few frames to and fro, so that no end meets a beginning."""

    def __init__(self, frames: Frames, every: int = 1) -> None:
        if not len(frames):
            raise ValueError("an idle loop needs at least one frame")
        self._pictures: tuple[Frame, ...] = tuple(
            frames
        )  # the same array every time: it need not be converted anew
        self._every = every
        self._count = 0

    def begin(self) -> None:
        self._count = 0

    def next(self) -> Frame:
        last = len(self._pictures) - 1
        position = self._count // self._every % max(1, 2 * last)
        self._count += 1
        return self._pictures[position if position <= last else 2 * last - position]
