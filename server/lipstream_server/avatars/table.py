"""The rows of the avatars that clients brought."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, insert, select, update

from ..clips.state import State
from ..storage.tables import avatars, clips

Crop = tuple[float, float, float, float]
"""left, top, width, height: shares of the picture's width and height."""
_UNFINISHED = (State.QUEUED.value, State.RUNNING.value)


@dataclass(frozen=True)
class KeptAvatar:
    """listed: shown to everybody who sees what its owner has; others are the portraits of clips. number: 0 before it is kept.

    owner: a key; None on a server without keys.
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


def add_avatar(connection: Connection, avatar: KeptAvatar) -> KeptAvatar:
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
    found = find_avatar(connection, avatar.id)
    if found is None:
        raise RuntimeError(f"avatar {avatar.id} was inserted and is not there")
    return found


def list_it(connection: Connection, avatar: str, name: str) -> None:
    """A clip's portrait becomes an avatar for everybody."""
    connection.execute(update(avatars).where(avatars.c.id == avatar).values(listed=True, name=name))


def find_avatar(connection: Connection, avatar: str) -> KeptAvatar | None:
    row = connection.execute(select(avatars).where(avatars.c.id == avatar)).mappings().first()
    return None if row is None else _avatar(row)


def page_of_avatars(
    connection: Connection, after: int, limit: int, owner: str | None
) -> Sequence[KeptAvatar]:
    """Listed ones, the oldest first. owner: only its own; None: everybody's."""
    chosen = select(avatars).where(avatars.c.listed, avatars.c.number > after)
    if owner is not None:
        chosen = chosen.where(avatars.c.owner == owner)
    rows = connection.execute(chosen.order_by(avatars.c.number).limit(limit)).mappings()
    return [_avatar(row) for row in rows]


def all_avatars(connection: Connection) -> Sequence[KeptAvatar]:
    """Unlisted ones too."""
    return [_avatar(row) for row in connection.execute(select(avatars)).mappings()]


def wanted(connection: Connection, avatar: str) -> bool:
    """Whether a clip that is not finished needs it."""
    needs = exists().where(clips.c.avatar == avatar, clips.c.state.in_(_UNFINISHED))
    return bool(connection.execute(select(needs)).scalar())


def remove_avatar(connection: Connection, avatar: str) -> None:
    connection.execute(delete(avatars).where(avatars.c.id == avatar))


def remove_unneeded(connection: Connection, used: Set[str]) -> Sequence[str]:
    """Portraits of clips that are all gone, but for those that are used; returns their ids."""
    gone = ~exists().where(clips.c.avatar == avatars.c.id)
    unneeded = delete(avatars).where(~avatars.c.listed, gone, avatars.c.id.not_in(used))
    rows = connection.execute(unneeded.returning(avatars.c.id))
    return list(rows.scalars())


def _avatar(row: RowMapping) -> KeptAvatar:
    left, top, width, height = row["crop"] or (0.0, 0.0, 1.0, 1.0)
    return KeptAvatar(
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
