"""Messages between the server and its engine's process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

from ...media.arrays import RgbImage
from ..interface import RestorableEngine
from ..lookahead_table import LookaheadTable


class StreamRef(NamedTuple):
    """A stream as the server refers to it in a call.

    Attributes:
        key: Key that a process of the engine gave to the stream.
        snapshot: The whole stream; None where the called process has given out the key.
    """

    key: int
    snapshot: bytes | None


class StreamSnapshot(NamedTuple):
    """A stream as the engine's process returns it.

    Attributes:
        key: Key for later calls.
        avatar: Name of its avatar.
        preset: Name of its preset.
        batch_key: Streams with equal keys may share a batch.
        snapshot: The whole stream, for the next process.
    """

    key: int
    avatar: str
    preset: str
    batch_key: Hashable
    snapshot: bytes


@dataclass(frozen=True)
class Call:
    """A call of a method of the engine.

    Attributes:
        method: Name of the method.
        arguments: Positional arguments.
        released: Keys of streams that the server has dropped.
    """

    method: str
    arguments: tuple[object, ...]
    released: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fault:
    """An exception that the engine interface does not name.

    Attributes:
        text: Traceback, or a message for whoever started the server.
        exit_code: Exit code of the server where the text is such a message, else None.
    """

    text: str
    exit_code: int | None


@dataclass(frozen=True)
class EngineFacts:
    """`EngineInfo` of an engine in another process, sent once: all of it can be answered without a call."""

    name: str
    size: tuple[int, int]
    fps: int
    avatars: tuple[str, ...]
    presets: tuple[str, ...]
    lookahead: LookaheadTable
    image_decoder: Callable[[bytes], RgbImage]

    @classmethod
    def describe(cls, engine: RestorableEngine) -> EngineFacts:
        """Collect the facts of an engine."""
        return cls(
            engine.name,
            engine.size,
            engine.fps,
            tuple(engine.avatars),
            tuple(engine.presets),
            LookaheadTable.probe(engine.samples_needed),
            engine.image_decoder,
        )
