"""Streams of an engine's process, as the server holds them and as it names them in calls."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ..base import WindowRequest
from .host import LIFE_BITS
from .messages import Asked, Told


@dataclass(frozen=True, eq=False)
class Handle:
    """A stream of the engine's process. kept: all that it is, for the next process."""

    key: int
    batch_key: Hashable
    avatar: str
    preset: str
    kept: bytes


def told(argument: object, life: int) -> object:
    """An argument of a call as it goes to this life of the engine: streams by their keys, and whole where it has not seen them."""
    match argument:
        case list():
            return [told(each, life) for each in argument]
        case WindowRequest():
            stream = _stream_told(handle_of(argument), life)
            return Asked(stream, argument.samples, argument.start, argument.frames, argument.ended)
        case Handle():
            return _stream_told(argument, life)
        case _:
            return argument


def _stream_told(handle: Handle, life: int) -> Told:
    known = handle.key >> LIFE_BITS == life
    return Told(handle.key, handle.avatar, handle.preset, None if known else handle.kept)


def handle_of(request: WindowRequest) -> Handle:
    """Raises TypeError where its stream is another engine's."""
    if not isinstance(request.stream, Handle):
        raise TypeError(f"expected a stream of this engine, got {type(request.stream).__name__}")
    return request.stream
