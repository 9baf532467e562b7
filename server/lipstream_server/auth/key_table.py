"""Rows of API keys."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select, update

from ..storage.tables import api_keys, avatars
from .api_keys import ApiKey, KeyLimits


def add_api_key(connection: Connection, key: ApiKey, digest: str) -> None:
    """Insert a key.

    Raises:
        sqlalchemy.exc.IntegrityError: The name is taken.
    """
    limits = key.limits
    values = {
        "id": key.id,
        "name": key.name,
        "digest": digest,
        "sessions": limits.sessions,
        "clips": limits.clips,
        "requests_per_minute": limits.requests_per_minute,
        "created": key.created,
    }
    connection.execute(insert(api_keys).values(values))


def all_api_keys(connection: Connection) -> Mapping[str, ApiKey]:
    """Return all keys by digest, the oldest first."""
    rows = connection.execute(select(api_keys).order_by(api_keys.c.number)).mappings()
    return {
        row["digest"]: ApiKey(
            row["id"],
            row["name"],
            KeyLimits(row["sessions"], row["clips"], row["requests_per_minute"]),
            row["created"],
        )
        for row in rows
    }


def remove_api_key(connection: Connection, name: str) -> bool:
    """Delete a key, and return whether it existed.

    Its avatars go once nothing uses them, its finished clips when they are old.
    """
    deleted = connection.execute(delete(api_keys).where(api_keys.c.name == name).returning(api_keys.c.id))
    owner = deleted.scalar()
    if owner is None:
        return False
    connection.execute(update(avatars).where(avatars.c.owner == owner).values(listed=False))
    return True
