"""The pipe between the server and its engine's process: messages through a socket, large arrays through shared memory.

The engine's process writes an array into a free slot and sends its position; in the server the array is a view of that slot, never
a copy, and the slot is released with the next call after the last view is gone. Without a free slot, arrays go through the socket.
A slot is announced only once it is complete, so a process that is killed while it writes leaves no torn frame; the next process has
memory of its own, and the old one is unmapped with its last frame.

Calls and results alternate; one thread uses each end.
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
from typing import Any, NamedTuple

import numpy as np

from .pickling import (
    References,
    Resolve,
    dump,
    load,
)
from .shared_memory import SlotAllocator, open_shared_file

MEMORY_BYTES = 512 * 2**20
"""Size of the shared memory: one second of 50 sessions at 256 x 256. Untouched pages take no memory."""
MIN_SLOT_BYTES = 16 * 2**10
"""Arrays, and pickled values, below this size go through the socket."""
_MAX_MESSAGE_BYTES = 2**30
_RECEIVE_BYTES = 2**16
_HEADER = struct.Struct("<QI")  # bytes of the pickled value, 0 where it is in the first slot; number of slots
_SLOT = struct.Struct("<QQ")
_TIMEVAL = struct.Struct("@ll")


class Slot(NamedTuple):
    """A slot of the shared memory, in bytes."""

    offset: int
    size: int


class Packet(NamedTuple):
    """A packed value: the slots that hold its arrays, and the rest of it, pickled; empty where the first slot holds that too."""

    slots: Sequence[Slot]
    head: bytes


class ServerEnd:
    """The server's end. Deadlines are seconds of time.monotonic; after a TimeoutError the pipe is unusable."""

    def __init__(self, line: socket.socket, memory: mmap.mmap) -> None:
        self._line, self._memory = line, memory
        self._released: deque[Slot] = deque()  # appended to by whichever thread drops the last view
        # The socket is closed with its last user: another thread may still wait for a result while the engine is stopped.
        self._close = weakref.finalize(self, line.close)

    def send(self, value: object, deadline: float, references: References | None = None) -> None:
        """Send a value. Raises OSError where the other end is closed, TimeoutError."""
        released = [self._released.popleft() for _ in range(len(self._released))]
        _send(self._line, Packet(released, dump(value, references)), deadline)

    def receive(self, deadline: float, resolve: Resolve | None = None) -> Any:
        """Return the next value; its arrays of MIN_SLOT_BYTES and more are read-only.

        Raises:
            EOFError: The other end is closed.
            OSError: The other end is closed, or the deadline has passed (TimeoutError).
        """
        slots, head = _receive(self._line, deadline)
        views = [self._view(slot) for slot in slots]
        return load(head or views.pop(0), resolve, views)

    def close(self) -> None:
        """Close the socket; received arrays stay valid."""
        self._close()

    def _view(self, slot: Slot) -> memoryview:
        if slot.offset + slot.size > len(self._memory):
            raise OSError(
                f"expected a slot of {len(self._memory)} bytes, got {slot.size} bytes at {slot.offset}"
            )
        # Arrays made of it keep this array alive, which a memoryview is not.
        owner = np.frombuffer(self._memory, np.uint8, slot.size, slot.offset)
        weakref.finalize(owner, self._released.append, slot).atexit = False
        return owner.data


class EngineEnd:
    """The engine's end. It can be passed to a process that is being started; whoever passes it closes its own copy."""

    def __init__(self, line: socket.socket, file: int, size: int) -> None:
        self._line, self._file, self._size = line, file, size
        self._slots = SlotAllocator(size)
        self._memory: mmap.mmap | None = None

    def __reduce__(self) -> tuple[Callable[..., EngineEnd], tuple[socket.socket, Any, int]]:
        return _rebuild, (self._line, reduction.DupFd(self._file), self._size)

    @property
    def slots(self) -> int:
        """Number of slots that the server holds."""
        return len(self._slots)

    def pack(self, value: object, references: References | None = None) -> Packet:
        """Copy the large arrays of a value into slots and pickle the rest."""
        slots: list[Slot] = []

        def in_band(buffer: pickle.PickleBuffer) -> bool:
            slot = self._copy(buffer.raw())
            if slot is not None:
                slots.append(slot)
            return slot is None

        try:
            head = dump(value, references, in_band)
        except BaseException:
            for each in slots:
                self._slots.release(each.offset)
            raise
        if (slot := self._copy(head)) is not None:
            return Packet([slot, *slots], b"")
        return Packet(slots, head)

    def send(self, value: object) -> None:
        """Send a value. Raises OSError where the other end is closed."""
        self.send_message(self.pack(value))

    def send_message(self, message: Packet) -> None:
        """Send a packed value. Raises OSError where the other end is closed."""
        _send(self._line, message)

    def receive(self) -> Any:
        """Return the next value. Raises EOFError, OSError where the other end is closed."""
        return self.unpack(self.receive_bytes())

    def receive_bytes(self) -> bytes:
        """Return the next value, still pickled. Raises EOFError, OSError where the other end is closed."""
        released, head = _receive(self._line)
        for slot in released:
            self._slots.release(slot.offset)
        return head

    @staticmethod
    def unpack(received: bytes, resolve: Resolve | None = None) -> Any:
        """Unpickle what `receive_bytes` returned."""
        return load(received, resolve)

    def close(self) -> None:
        """Close the socket and the memory."""
        self._line.close()
        os.close(self._file)

    def _copy(self, data: bytes | memoryview) -> Slot | None:
        """Copy data into a slot; None where it is small or there is no room."""
        if len(data) < MIN_SLOT_BYTES:
            return None
        offset = self._slots.allocate(len(data))
        if offset is None:
            return None
        if self._memory is None:
            self._memory = mmap.mmap(self._file, self._size)
        self._memory[offset : offset + len(data)] = data
        return Slot(offset, len(data))


def open_pipe(memory_bytes: int = MEMORY_BYTES) -> tuple[ServerEnd, EngineEnd]:
    """Return the two ends of a new pipe with this much shared memory."""
    file = open_shared_file(memory_bytes)
    server, engine = socket.socketpair()
    memory = mmap.mmap(file, memory_bytes, prot=mmap.PROT_READ)
    return ServerEnd(server, memory), EngineEnd(engine, file, memory_bytes)


def _rebuild(line: socket.socket, file: Any, size: int) -> EngineEnd:
    return EngineEnd(line, file.detach(), size)


def _send(line: socket.socket, message: Packet, deadline: float | None = None) -> None:
    slots, head = message
    parts = [_HEADER.pack(len(head), len(slots)), *(_SLOT.pack(*slot) for slot in slots), head]
    rest = memoryview(b"".join(parts))
    while rest:
        _set_timeout(line, socket.SO_SNDTIMEO, deadline)
        try:
            rest = rest[line.send(rest) :]
        except BlockingIOError:
            continue  # timed out; _set_timeout raises


def _receive(line: socket.socket, deadline: float | None = None) -> Packet:
    data = bytearray()
    _read(line, data, _HEADER.size, deadline)
    size, count = _HEADER.unpack_from(data)
    begin = _HEADER.size + count * _SLOT.size
    if not _HEADER.size < begin + size <= _MAX_MESSAGE_BYTES:
        expected = f"{_HEADER.size + 1} to {_MAX_MESSAGE_BYTES} bytes"
        raise OSError(f"expected a message of {expected}, got one of {begin + size}")
    _read(line, data, begin + size, deadline)
    slots = [Slot(*slot) for slot in _SLOT.iter_unpack(data[_HEADER.size : begin])]
    return Packet(slots, bytes(data[begin:]))


def _read(line: socket.socket, data: bytearray, size: int, deadline: float | None) -> None:
    """Read until `data` has that size.

    All of a message that is there is read at once: nothing follows it before it is answered, and each system call lets other
    threads of the server go first.
    """
    while len(data) < size:
        _set_timeout(line, socket.SO_RCVTIMEO, deadline)
        try:
            piece = line.recv(max(_RECEIVE_BYTES, size - len(data)))
        except BlockingIOError:
            continue  # timed out; _set_timeout raises
        if not piece:
            raise EOFError("expected a message, but the other end is closed")
        data += piece


def _set_timeout(line: socket.socket, option: int, deadline: float | None) -> None:
    """Limit the next system call; `settimeout` would turn each into two. Raises TimeoutError after the deadline."""
    if deadline is None:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the other end took too long")
    line.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(*divmod(int(left * 1e6) + 1, 10**6)))
