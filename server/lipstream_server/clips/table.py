"""The rows of clips and of idempotency keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from ..storage.tables import clips, idempotency_keys, webhook_deliveries
from .state import (
    Clip,
    Delivery,
    DeliveryState,
    Failure,
    Order,
    State,
    Video,
)

# Every clip, with how far its webhook is.
_CLIPS = select(
    clips,
    webhook_deliveries.c.state.label("delivery_state"),
    webhook_deliveries.c.attempts,
    webhook_deliveries.c.next_attempt,
).outerjoin_from(clips, webhook_deliveries, webhook_deliveries.c.clip == clips.c.id)
FINAL = tuple(state.value for state in State if state.final)


@dataclass(frozen=True)
class Key:
    """An idempotency key. fingerprint: of the request that it came with first. owner: whose it is; others may use the same text."""

    text: str
    fingerprint: str
    owner: str | None = None

    @property
    def key(self) -> str:
        """As it is kept; a text of a client has no space."""
        return self.text if self.owner is None else f"{self.owner} {self.text}"


def add_clip(connection: Connection, id: str, order: Order, created: float, owner: str | None = None) -> Clip:
    values = {"id": id, "state": State.QUEUED.value, "created": created, "owner": owner, **asdict(order)}
    connection.execute(insert(clips).values(values))
    found = find_clip(connection, id)
    if found is None:
        raise RuntimeError(f"clip {id} was inserted and is not there")
    return found


def save_clip(connection: Connection, clip: Clip) -> None:
    """Its state and what belongs to it; a clip that was removed meanwhile stays removed."""
    values: dict[str, Any] = {
        "state": clip.state.value,
        "started": clip.started,
        "ended": clip.ended,
        "video_bytes": clip.video and clip.video.size,
        "video_tag": clip.video and clip.video.tag,
        "failure_code": clip.failure and clip.failure.code,
        "failure_detail": clip.failure and clip.failure.detail,
    }
    connection.execute(update(clips).where(clips.c.id == clip.id).values(values))


def find_clip(connection: Connection, clip: str, owner: str | None = None) -> Clip | None:
    """owner: only if it is its own; None: whoever's it is."""
    chosen = _CLIPS.where(clips.c.id == clip)
    if owner is not None:
        chosen = chosen.where(clips.c.owner == owner)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else _clip(row)


def next_queued(connection: Connection) -> Clip | None:
    """The one that waits for longest."""
    chosen = _CLIPS.where(clips.c.state == State.QUEUED.value).order_by(clips.c.number).limit(1)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else _clip(row)


def page_of_clips(
    connection: Connection, before: int | None, limit: int, state: State | None, owner: str | None
) -> Sequence[Clip]:
    """The newest first. owner: only its own; None: everybody's."""
    chosen = _CLIPS.order_by(clips.c.number.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(clips.c.number < before)
    if owner is not None:
        chosen = chosen.where(clips.c.owner == owner)
    if state is not None:
        chosen = chosen.where(clips.c.state == state.value)
    return [_clip(row) for row in connection.execute(chosen).mappings()]


def clips_in(connection: Connection, states: Sequence[State]) -> Sequence[Clip]:
    """The oldest first."""
    chosen = _CLIPS.where(clips.c.state.in_([state.value for state in states]))
    return [_clip(row) for row in connection.execute(chosen.order_by(clips.c.number)).mappings()]


def count_queued(connection: Connection) -> int:
    counted = select(func.count()).where(clips.c.state == State.QUEUED.value)
    return int(connection.execute(counted).scalar_one())


def count_unfinished(connection: Connection, owner: str) -> int:
    """Of a key: those that wait or are made."""
    counted = select(func.count()).where(clips.c.owner == owner, clips.c.state.not_in(FINAL))
    return int(connection.execute(counted).scalar_one())


def count_states(connection: Connection) -> Mapping[State, int]:
    """Those that there are none of are left out."""
    counted = select(clips.c.state, func.count()).group_by(clips.c.state)
    return {State(state): int(count) for state, count in connection.execute(counted)}


def clip_ids(connection: Connection) -> frozenset[str]:
    return frozenset(connection.execute(select(clips.c.id)).scalars())


def remove_clip(connection: Connection, clip: str) -> None:
    connection.execute(delete(clips).where(clips.c.id == clip))


def keep_key(connection: Connection, key: Key, clip: str, now: float) -> None:
    values = {"key": key.key, "fingerprint": key.fingerprint, "clip": clip, "created": now}
    connection.execute(insert(idempotency_keys).values(values))


def find_key(connection: Connection, key: str) -> tuple[str, str] | None:
    """The fingerprint of its first request, and the clip that was made of it."""
    row = connection.execute(select(idempotency_keys).where(idempotency_keys.c.key == key)).mappings().first()
    return None if row is None else (row["fingerprint"], row["clip"])


def forget_keys(connection: Connection, before: float) -> None:
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.created < before))


def _clip(row: RowMapping) -> Clip:
    order = Order(
        row["avatar"],
        row["preset"],
        row["seed"],
        row["width"],
        row["height"],
        row["container"],
        row["fps"],
        row["frames"],
        row["webhook_url"],
    )
    video = None if row["video_tag"] is None else Video(row["video_bytes"], row["video_tag"])
    failure = None if row["failure_code"] is None else Failure(row["failure_code"], row["failure_detail"])
    state = row["delivery_state"]
    delivery = None if state is None else Delivery(DeliveryState(state), row["attempts"], row["next_attempt"])
    return Clip(
        number=row["number"],
        id=row["id"],
        order=order,
        created=row["created"],
        state=State(row["state"]),
        started=row["started"],
        ended=row["ended"],
        video=video,
        failure=failure,
        delivery=delivery,
    )
