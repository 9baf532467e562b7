"""Memory that two processes share, and the allocation of slots in it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from bisect import bisect_left, insort

_PAGE = 4096
"""Slots begin at multiples of it, so that no two share a cache line."""


def open_shared_file(size: int) -> int:
    """Return the descriptor of an unnamed file of `size` bytes, which the caller closes.

    It takes memory only where something was written. On Linux it is sealed against truncation: a process that reads beyond
    the end of a mapped file is killed.
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


class SlotAllocator:
    """Allocates slots of a memory of `size` bytes, the lowest free one first, so that touched memory is reused."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: list[tuple[int, int]] = []  # begin, end; in order

    def __len__(self) -> int:
        return len(self._slots)

    def allocate(self, size: int) -> int | None:
        """Return the offset of a slot of `size` bytes; None where there is no room."""
        size = -(-size // _PAGE) * _PAGE
        offset = 0
        for begin, end in self._slots:
            if offset + size <= begin:
                break
            offset = end
        if offset + size > self._size:
            return None
        insort(self._slots, (offset, offset + size))
        return offset

    def release(self, offset: int) -> None:
        """Free the slot at this offset. Raises ValueError where there is none."""
        index = bisect_left(self._slots, (offset, 0))
        if index == len(self._slots) or self._slots[index][0] != offset:
            raise ValueError(f"expected the offset of a slot that is in use, got {offset}")
        del self._slots[index]
