"""Memory that two processes share, and who has which slot of it: arrays go from one to the other without being sent."""

from __future__ import annotations

import fcntl
import os
import tempfile
from bisect import bisect_left, insort

_PAGE = 4096
"""Slots begin at multiples of it, so that no two share what a processor moves at once."""


def shared_file(size: int) -> int:
    """A file of `size` bytes that has no name and takes memory only where something was written; who gets the descriptor closes it.

    It cannot be cut off (Linux): who reads what is not there any more would be killed.
    """
    try:
        file = os.memfd_create("lipstream", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError):  # macOS has none, some sandboxes refuse it
        with tempfile.TemporaryFile() as unlinked:
            file = os.dup(unlinked.fileno())
        os.ftruncate(file, size)
        return file
    os.ftruncate(file, size)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return file


class Slots:
    """Of `size` bytes, as whoever fills them keeps the account: the lowest place that is free is taken first, so that memory once
    used is used again.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: list[tuple[int, int]] = []  # from, to; in order

    @property
    def taken(self) -> int:
        """How many."""
        return len(self._taken)

    def take(self, size: int) -> int | None:
        """Where `size` bytes may be written; None where there is no room for them now."""
        size = -(-size // _PAGE) * _PAGE
        place = 0
        for begin, end in self._taken:
            if place + size <= begin:
                break
            place = end
        if place + size > self._size:
            return None
        insort(self._taken, (place, place + size))
        return place

    def give_back(self, place: int) -> None:
        """Raises ValueError where nothing was taken there."""
        index = bisect_left(self._taken, (place, 0))
        if index == len(self._taken) or self._taken[index][0] != place:
            raise ValueError(f"expected a slot that was taken, got one at {place}")
        del self._taken[index]
