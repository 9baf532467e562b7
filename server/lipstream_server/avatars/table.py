"""Rows of the avatars that clients added."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, insert, select, update

from ..storage.tables import avatars, clips

Crop = tuple[float, float, float, float]
"""Left, top, width, height: shares of the image's width and height."""


@dataclass(frozen=True)
class StoredAvatar:
    """An avatar in the database.

    Attributes:
        id: Id in requests, which follows from the content.
        name: Name for people.
        notes: What whoever added the image should know of it.
        crop: Part of the image that is used; None for all of it.
        listed: Whether the list shows it; unlisted ones are portraits of clips.
        created: Seconds since 1970.
        bytes: Size of the image file.
        number: Rises with every avatar; 0 before it is stored.
        owner: Id of the API key; None on a server without keys.
    """

    id: str
    name: str
    notes: tuple[str, ...]
    crop: Crop | None
    listed: bool
    created: float
    bytes: int
    number: int = 0
    owner: str | None = None


def add_avatar(connection: Connection, avatar: StoredAvatar) -> StoredAvatar:
    """Insert an avatar, and return it with its number."""
    values: dict[str, Any] = {
        "id": avatar.id,
        "name": avatar.name,
        "notes": list(avatar.notes),
        "crop": avatar.crop,
        "listed": avatar.listed,
        "created": avatar.created,
        "bytes": avatar.bytes,
        "owner": avatar.owner,
    }
    connection.execute(insert(avatars).values(values))
    stored = find_avatar(connection, avatar.id)
    if stored is None:
        raise RuntimeError(f"avatar {avatar.id} was inserted and is not there")
    return stored


def list_avatar(connection: Connection, avatar_id: str, name: str) -> None:
    """Turn a clip's portrait into a listed avatar with a name."""
    connection.execute(update(avatars).where(avatars.c.id == avatar_id).values(listed=True, name=name))


def find_avatar(connection: Connection, avatar_id: str) -> StoredAvatar | None:
    """Return an avatar, listed or not."""
    row = connection.execute(select(avatars).where(avatars.c.id == avatar_id)).mappings().first()
    return None if row is None else _avatar_from_row(row)


def page_of_avatars(
    connection: Connection, after: int, limit: int, owner: str | None
) -> Sequence[StoredAvatar]:
    """Return listed avatars, the oldest first.

    Args:
        connection: Open transaction.
        after: Only avatars with larger numbers.
        limit: Most avatars returned.
        owner: Only avatars of this key; None for everybody's.
    """
    chosen = select(avatars).where(avatars.c.listed, avatars.c.number > after)
    if owner is not None:
        chosen = chosen.where(avatars.c.owner == owner)
    rows = connection.execute(chosen.order_by(avatars.c.number).limit(limit)).mappings()
    return [_avatar_from_row(row) for row in rows]


def all_avatars(connection: Connection) -> Sequence[StoredAvatar]:
    """Return all avatars, listed or not."""
    return [_avatar_from_row(row) for row in connection.execute(select(avatars)).mappings()]


def has_unfinished_clips(connection: Connection, avatar_id: str) -> bool:
    """Return whether a clip that has not ended needs the avatar."""
    needs = exists().where(clips.c.avatar == avatar_id, clips.c.ended.is_(None))
    return bool(connection.execute(select(needs)).scalar())


def remove_avatar(connection: Connection, avatar_id: str) -> None:
    """Delete an avatar."""
    connection.execute(delete(avatars).where(avatars.c.id == avatar_id))


def remove_unused_avatars(connection: Connection, in_use: Set[str]) -> Sequence[str]:
    """Delete unlisted avatars that no clip has and nobody uses, and return their ids."""
    without_clips = ~exists().where(clips.c.avatar == avatars.c.id)
    unused = delete(avatars).where(~avatars.c.listed, without_clips, avatars.c.id.not_in(in_use))
    rows = connection.execute(unused.returning(avatars.c.id))
    return list(rows.scalars())


def _avatar_from_row(row: RowMapping) -> StoredAvatar:
    left, top, width, height = row["crop"] or (0.0, 0.0, 1.0, 1.0)
    return StoredAvatar(
        id=row["id"],
        name=row["name"],
        notes=tuple(row["notes"]),
        crop=None if row["crop"] is None else (left, top, width, height),
        listed=row["listed"],
        created=row["created"],
        bytes=row["bytes"],
        number=row["number"],
        owner=row["owner"],
    )
