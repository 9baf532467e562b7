"""Values between the server and its engine's process."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ...media.arrays import (
    Frames,
    Samples,
)
from ..base import (
    StageTimings,
)


@dataclass(frozen=True)
class Call:
    """name: of a method of `child.Host`. freed: streams that the server has forgotten."""

    name: str
    arguments: tuple[object, ...]
    freed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What an engine raised that its seam does not name. text: for people; exit_code: see lipstream_client/cli.py."""

    text: str
    exit_code: int | None


@dataclass(frozen=True)
class Known:
    """A stream as the engine's process gave it out. kept: to restore it from."""

    key: int
    batch_key: Hashable
    kept: bytes


@dataclass(frozen=True)
class Told:
    """A stream as the server names it. kept: None where the process that is asked gave it out itself."""

    key: int
    avatar: str
    preset: str
    kept: bytes | None


@dataclass(frozen=True, eq=False)
class Began:
    """A stream, and what its avatar can be restored from. idle: as `engine.OpenedStream`, None from `begin`."""

    stream: Known
    avatar: bytes
    idle: Frames | None


@dataclass(frozen=True, eq=False)
class Asked:
    """As `engine.WindowRequest`."""

    stream: Told
    samples: Samples
    start: int
    frames: int
    ended: bool


@dataclass(frozen=True, eq=False)
class Answer:
    """As `engine.WindowResult`."""

    stream: Known
    frames: Frames
    timings: StageTimings
