"""What is done to the rows of clips in one transaction each: all of it happens, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection

from . import clip_state
from .clip_state import Clip, Order, TransitionError
from .clip_table import Key, add_clip, find_clip, find_key, keep_key, next_queued, save_clip


class UnknownClipError(KeyError):
    def __str__(self) -> str:
        return f"there is no clip {self.args[0]!r}; GET /v1/clips lists those that are there"


class KeyReusedError(ValueError):
    """An idempotency key came with another request than before."""


class ClipRemovedError(ValueError):
    """The clip of an idempotency key is not there any more."""


def known(connection: Connection, key: Key) -> Clip | None:
    found = find_key(connection, key.key)
    if found is None:
        return None
    fingerprint, clip = found
    if fingerprint != key.fingerprint:
        raise KeyReusedError(
            f"the key {key.text!r} came with another request before; use a new key for a new clip"
        )
    before = find_clip(connection, clip)
    if before is None:
        raise ClipRemovedError(f"the clip of the key {key.text!r} was removed; use a new key for a new clip")
    return before


def insert(connection: Connection, clip: str, order: Order, key: Key | None, owner: str | None) -> Clip:
    now = time.time()
    if key is not None:
        keep_key(connection, key, clip, now)
    return add_clip(connection, clip, order, now, owner)


def start_next(connection: Connection) -> Clip | None:
    clip = next_queued(connection)
    return (
        None if clip is None else change(connection, clip.id, lambda now: clip_state.begin(now, time.time()))
    )


def change(connection: Connection, clip: str, step: Callable[[Clip], Clip]) -> Clip | None:
    before = find_clip(connection, clip)
    if before is None:
        return None
    try:
        after = step(before)
    except TransitionError:
        return before
    save_clip(connection, after)
    return after
