"""Idempotency keys: a repeated request is answered with the clip that the first one made."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from ..storage.tables import idempotency_keys
from .errors import ClipRemovedError, IdempotencyKeyReusedError
from .state import Clip
from .table import find_clip


@dataclass(frozen=True)
class IdempotencyKey:
    """An idempotency key with the request that it came with.

    Attributes:
        text: What the client sent.
        fingerprint: Digest of the request.
        owner: Id of the API key; other keys may use the same text.
    """

    text: str
    fingerprint: str
    owner: str | None = None

    @property
    def stored_key(self) -> str:
        """The primary key in the database. A text of a client has no space."""
        return self.text if self.owner is None else f"{self.owner} {self.text}"


def find_accepted_clip(connection: Connection, key: IdempotencyKey) -> Clip | None:
    """Return the clip that an earlier request with this key made; None for a new key.

    Raises:
        IdempotencyKeyReusedError: The key came with another request.
        ClipRemovedError: The clip was removed.
    """
    chosen = select(idempotency_keys).where(idempotency_keys.c.key == key.stored_key)
    row = connection.execute(chosen).mappings().first()
    if row is None:
        return None
    if row["fingerprint"] != key.fingerprint:
        raise IdempotencyKeyReusedError(
            f"the key {key.text!r} came with another request before; use a new key for a new clip"
        )
    clip = find_clip(connection, row["clip"])
    if clip is None:
        raise ClipRemovedError(f"the clip of the key {key.text!r} was removed; use a new key for a new clip")
    return clip


def add_idempotency_key(connection: Connection, key: IdempotencyKey, clip_id: str, now: float) -> None:
    """Store a key with the clip that its request made."""
    values = {"key": key.stored_key, "fingerprint": key.fingerprint, "clip": clip_id, "created": now}
    connection.execute(insert(idempotency_keys).values(values))


def purge_idempotency_keys(connection: Connection, before: float) -> None:
    """Delete keys that were stored before a time."""
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created < before))
