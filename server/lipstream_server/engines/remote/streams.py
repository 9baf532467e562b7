"""Streams at both ends: snapshots in the server, live streams in the engine's process, keys in between."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from itertools import count

from ..base import Stream
from ..interface import RestorableEngine
from .messages import StreamRef, StreamSnapshot

_GENERATION_BITS = 32


@dataclass(frozen=True, eq=False)
class RemoteStream(Stream):
    """A stream of the engine's process, as the server holds it.

    Attributes:
        key: Its key in the process that gave it out.
        snapshot: The whole stream, for the next process.
    """

    key: int
    snapshot: bytes


class RemoteStreams:
    """The server's end: remembers which streams the server has dropped."""

    def __init__(self) -> None:
        self._released: deque[int] = deque()  # appended to by any thread

    def take_released(self) -> tuple[int, ...]:
        """Return the keys of streams dropped since the last time."""
        return tuple(self._released.popleft() for _ in range(len(self._released)))

    def refer(self, value: object, generation: int) -> StreamRef | None:
        """Return the reference of a stream for the process of this generation; None for anything else.

        Raises:
            TypeError: The stream belongs to another engine.
        """
        if not isinstance(value, Stream):
            return None
        if not isinstance(value, RemoteStream):
            raise TypeError(f"expected a stream of this engine, got {type(value).__name__}")
        known = value.key >> _GENERATION_BITS == generation
        return StreamRef(value.key, None if known else value.snapshot)

    def resolve(self, sent: StreamSnapshot) -> RemoteStream:
        """Return the stream that the engine's process has sent."""
        stream = RemoteStream(sent.avatar, sent.preset, sent.batch_key, sent.key, sent.snapshot)
        weakref.finalize(stream, self._released.append, sent.key).atexit = False
        return stream


class StreamTable:
    """The engine's end: the live streams that the server still holds, by key."""

    def __init__(self, engine: RestorableEngine, generation: int) -> None:
        self._engine = engine
        self._streams: dict[int, Stream] = {}
        self._keys = count((generation << _GENERATION_BITS) + 1)

    def __len__(self) -> int:
        return len(self._streams)

    def release(self, keys: tuple[int, ...]) -> None:
        """Drop streams."""
        for key in keys:
            self._streams.pop(key, None)

    def refer(self, value: object) -> StreamSnapshot | None:
        """Keep a stream and return it as it is sent; None for anything else."""
        if not isinstance(value, Stream):
            return None
        snapshot = self._engine.snapshot_stream(value)
        key = next(self._keys)
        self._streams[key] = value
        return StreamSnapshot(key, value.avatar, value.preset, value.batch_key, snapshot)

    def resolve(self, reference: StreamRef) -> Stream:
        """Return the stream of a reference, restored from its snapshot where it is new to this process."""
        key, snapshot = reference
        stream = self._streams.get(key)
        if stream is None:
            if snapshot is None:
                raise KeyError(f"expected a stream of this process, got key {key}")
            stream = self._streams[key] = self._engine.restore_stream(snapshot)
        return stream
