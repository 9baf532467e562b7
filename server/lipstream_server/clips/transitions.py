"""What is done to the rows of clips in one transaction each: all of it happens, or nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from ..webhooks.message import message
from ..webhooks.table import Outgoing, add_outgoing, remove_outgoing
from . import state as clip_state
from .state import (
    Clip,
    Delivery,
    DeliveryState,
    Order,
    TransitionError,
)
from .table import (
    Key,
    add_clip,
    find_clip,
    find_key,
    keep_key,
    next_queued,
    remove_clip,
    save_clip,
)

_MESSAGE_BYTES = 12


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
    return keep(connection, before, after)


def keep(connection: Connection, before: Clip, after: Clip) -> Clip:
    """A step that was taken, and with the last one what its webhook will say: both are on the disk, or neither is."""
    save_clip(connection, after)
    url = after.order.webhook_url
    if url is None or before.state.final or not after.state.final:
        return after
    delivery = Delivery(DeliveryState.PENDING, 0, after.ended)
    id = f"msg_{secrets.token_hex(_MESSAGE_BYTES)}"
    add_outgoing(connection, Outgoing(after.id, id, url, message(after), delivery))
    return replace(after, delivery=delivery)


def drop(connection: Connection, clip: str) -> None:
    """As its owner wants it: nobody is told of it any more."""
    remove_clip(connection, clip)
    remove_outgoing(connection, clip)
