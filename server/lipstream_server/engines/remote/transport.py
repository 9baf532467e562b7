"""What the server and its engine's process say to each other: small things through a socket, pictures through memory that both see.

The engine's process writes an array into a free slot and sends where it is; here the array is a view of that slot, never a copy,
and the slot is given back with the next call after its last picture is gone. Where no slot is free, arrays go through the socket.
A slot is told of only once it is whole, so a process that is killed in the middle leaves no torn picture behind; the next one has
memory of its own, and the old is let go with the last picture in it.

Calls and answers take turns, for one thread at each end.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing import reduction
from typing import Any

import numpy as np

from .shared_memory import Slots, shared_file

MEMORY = 512 * 2**20
"""Bytes of all slots: a second of 50 sessions at 256 x 256. What was never written takes none of the machine's."""
LEAST = 16 * 2**10
"""Bytes of an array, or of all else in a message, below which it goes through the socket."""
_MOST = 2**30  # bytes of a message through the socket
_AT_ONCE = 2**16
_SIZES = struct.Struct("<QI")  # of what is pickled, 0 where it is in the first slot; the number of slots
_SLOT = struct.Struct("<QQ")  # its place, its bytes
_TIME = struct.Struct("@ll")  # struct timeval

Slot = tuple[int, int]


class ServerEnd:
    """until: in seconds of time.monotonic; a TimeoutError is raised then, and the connection is of no use any more."""

    def __init__(self, line: socket.socket, memory: mmap.mmap) -> None:
        self._line, self._memory = line, memory
        self._gone: deque[Slot] = deque()  # whose last picture is gone, which any thread may find
        # With its last user too: who stops an engine cannot close this, because another thread may wait for an answer here.
        self._close = weakref.finalize(self, line.close)

    def send(self, value: object, until: float) -> None:
        """Raises OSError where nobody is at the other end."""
        gone = [self._gone.popleft() for _ in range(len(self._gone))]
        _send(self._line, gone, pickle.dumps(value, protocol=5), until)

    def receive(self, until: float) -> Any:
        """Arrays of LEAST bytes and more can only be read. Raises EOFError, OSError where the other end is gone."""
        slots, head = _receive(self._line, until)
        views = [self._view(*slot) for slot in slots]
        return pickle.loads(head or views.pop(0), buffers=views)  # noqa: S301  # from our own process

    def close(self) -> None:
        """What was received stays."""
        self._close()

    def _view(self, place: int, size: int) -> memoryview:
        if place + size > len(self._memory):
            raise OSError(f"expected a slot of {len(self._memory)} bytes, got {size} bytes at {place}")
        # An array, which all that is made of it keeps; a memoryview would be gone before the pictures.
        owner = np.frombuffer(self._memory, np.uint8, size, place)
        weakref.finalize(owner, self._gone.append, (place, size)).atexit = False
        return owner.data


class EngineEnd:
    """It can be given to a process that is being started; who gave it closes its own."""

    def __init__(self, line: socket.socket, file: int, size: int) -> None:
        self._line, self._file, self._slots = line, file, Slots(size)
        self._size = size
        self._memory: mmap.mmap | None = None

    def __reduce__(self) -> tuple[Callable[..., EngineEnd], tuple[socket.socket, Any, int]]:
        return _arrived, (self._line, reduction.DupFd(self._file), self._size)

    @property
    def slots(self) -> int:
        """How many the server has."""
        return self._slots.taken

    def send(self, value: object) -> None:
        """Raises OSError where nobody is at the other end."""
        slots: list[Slot] = []

        def inline(buffer: pickle.PickleBuffer) -> bool:
            slot = self._fill(buffer.raw())
            if slot is not None:
                slots.append(slot)
            return slot is None

        head = pickle.dumps(value, protocol=5, buffer_callback=inline)
        if (slot := self._fill(head)) is not None:
            slots, head = [slot, *slots], b""
        _send(self._line, slots, head)

    def receive(self) -> Any:
        """Raises EOFError, OSError where the other end is gone."""
        gone, head = _receive(self._line)
        for place, _ in gone:
            self._slots.give_back(place)
        return pickle.loads(head)  # noqa: S301  # from the server

    def close(self) -> None:
        self._line.close()
        os.close(self._file)

    def _fill(self, data: bytes | memoryview) -> Slot | None:
        if len(data) < LEAST:
            return None
        place = self._slots.take(len(data))
        if place is None:
            return None
        if self._memory is None:
            self._memory = mmap.mmap(self._file, self._size)
        self._memory[place : place + len(data)] = data
        return place, len(data)


def open_pipe(memory: int = MEMORY) -> tuple[ServerEnd, EngineEnd]:
    """The two ends of a new one. memory: bytes of all slots."""
    file = shared_file(memory)
    ours, theirs = socket.socketpair()
    return ServerEnd(ours, mmap.mmap(file, memory, prot=mmap.PROT_READ)), EngineEnd(theirs, file, memory)


def _arrived(line: socket.socket, file: Any, size: int) -> EngineEnd:
    return EngineEnd(line, file.detach(), size)


def _send(line: socket.socket, slots: Sequence[Slot], head: bytes, until: float | None = None) -> None:
    parts = [_SIZES.pack(len(head), len(slots)), *(_SLOT.pack(*slot) for slot in slots), head]
    rest = memoryview(b"".join(parts))
    while rest:
        _limit(line, socket.SO_SNDTIMEO, until)
        try:
            rest = rest[line.send(rest) :]
        except BlockingIOError:
            continue  # the time is over, which is found above


def _receive(line: socket.socket, until: float | None = None) -> tuple[list[Slot], bytes]:
    data = bytearray()
    _read(line, data, _SIZES.size, until)
    size, count = _SIZES.unpack_from(data)
    begin = _SIZES.size + count * _SLOT.size
    if not _SIZES.size < begin + size <= _MOST:
        raise OSError(f"expected a message of {_SIZES.size + 1} to {_MOST} bytes, got one of {begin + size}")
    _read(line, data, begin + size, until)
    return list(_SLOT.iter_unpack(data[_SIZES.size : begin])), bytes(data[begin:])


def _read(line: socket.socket, data: bytearray, size: int, until: float | None) -> None:
    """Until `data` has that size. All of a message that is there is taken at once: nothing follows it before it is answered, and
    every call of the system lets other threads of the server go first.
    """
    while len(data) < size:
        _limit(line, socket.SO_RCVTIMEO, until)
        try:
            piece = line.recv(max(_AT_ONCE, size - len(data)))
        except BlockingIOError:
            continue  # the time is over, which is found above
        if not piece:
            raise EOFError("expected an answer, but the other end is closed")
        data += piece


def _limit(line: socket.socket, option: int, until: float | None) -> None:
    """How long the next call may take. By the system, not by `settimeout`, which makes two calls of one."""
    if until is None:
        return
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the other end took too long")
    line.setsockopt(socket.SOL_SOCKET, option, _TIME.pack(*divmod(int(left * 1e6) + 1, 10**6)))
