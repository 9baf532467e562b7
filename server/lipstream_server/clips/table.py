"""Rows of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from ..storage.tables import clips, webhook_deliveries
from .state import (
    FINAL_STATES,
    Clip,
    ClipSpec,
    Delivery,
    DeliveryState,
    Failure,
    State,
    Video,
)

# Every clip, with the delivery of its webhook.
_CLIPS = select(
    clips,
    webhook_deliveries.c.state.label("delivery_state"),
    webhook_deliveries.c.attempts,
    webhook_deliveries.c.next_attempt,
).outerjoin_from(clips, webhook_deliveries, webhook_deliveries.c.clip == clips.c.id)


def add_clip(
    connection: Connection, clip_id: str, spec: ClipSpec, created: float, owner: str | None = None
) -> Clip:
    """Insert a queued clip and return it."""
    values = {"id": clip_id, "state": State.QUEUED.value, "created": created, "owner": owner, **asdict(spec)}
    connection.execute(insert(clips).values(values))
    clip = find_clip(connection, clip_id)
    if clip is None:
        raise RuntimeError(f"clip {clip_id} was inserted and is not there")
    return clip


def save_clip(connection: Connection, clip: Clip) -> None:
    """Update the state of a clip and what belongs to it; a clip that was removed meanwhile stays removed."""
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


def find_clip(connection: Connection, clip_id: str, owner: str | None = None) -> Clip | None:
    """Return a clip.

    Args:
        connection: Open transaction.
        clip_id: Id of the clip.
        owner: Id of the key that it has to belong to; None for anybody's.
    """
    chosen = _CLIPS.where(clips.c.id == clip_id)
    if owner is not None:
        chosen = chosen.where(clips.c.owner == owner)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else _clip_from_row(row)


def next_queued_clip(connection: Connection) -> Clip | None:
    """Return the clip that has been queued for longest."""
    chosen = _CLIPS.where(clips.c.state == State.QUEUED.value).order_by(clips.c.number).limit(1)
    row = connection.execute(chosen).mappings().first()
    return None if row is None else _clip_from_row(row)


def page_of_clips(
    connection: Connection, before: int | None, limit: int, state: State | None, owner: str | None
) -> Sequence[Clip]:
    """Return clips, the newest first.

    Args:
        connection: Open transaction.
        before: Only clips with smaller numbers.
        limit: Most clips returned.
        state: Only clips in this state.
        owner: Only clips of this key.
    """
    chosen = _CLIPS.order_by(clips.c.number.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(clips.c.number < before)
    if owner is not None:
        chosen = chosen.where(clips.c.owner == owner)
    if state is not None:
        chosen = chosen.where(clips.c.state == state.value)
    return [_clip_from_row(row) for row in connection.execute(chosen).mappings()]


def clips_in_states(connection: Connection, states: Sequence[State]) -> Sequence[Clip]:
    """Return the clips in these states, the oldest first."""
    chosen = _CLIPS.where(clips.c.state.in_([state.value for state in states]))
    return [_clip_from_row(row) for row in connection.execute(chosen.order_by(clips.c.number)).mappings()]


def count_queued(connection: Connection) -> int:
    """Return the number of queued clips."""
    counted = select(func.count()).where(clips.c.state == State.QUEUED.value)
    return int(connection.execute(counted).scalar_one())


def count_unfinished(connection: Connection, owner: str) -> int:
    """Return the number of queued and running clips of a key."""
    final = [state.value for state in FINAL_STATES]
    counted = select(func.count()).where(clips.c.owner == owner, clips.c.state.not_in(final))
    return int(connection.execute(counted).scalar_one())


def count_by_state(connection: Connection) -> Mapping[State, int]:
    """Return the number of clips in each state that any clip is in."""
    counted = select(clips.c.state, func.count()).group_by(clips.c.state)
    return {State(state): int(count) for state, count in connection.execute(counted)}


def clip_ids(connection: Connection) -> frozenset[str]:
    """Return the ids of all clips."""
    return frozenset(connection.execute(select(clips.c.id)).scalars())


def remove_clip(connection: Connection, clip_id: str) -> None:
    """Delete a clip."""
    connection.execute(delete(clips).where(clips.c.id == clip_id))


def _clip_from_row(row: RowMapping) -> Clip:
    spec = ClipSpec(
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
        spec=spec,
        created=row["created"],
        state=State(row["state"]),
        started=row["started"],
        ended=row["ended"],
        video=video,
        failure=failure,
        delivery=delivery,
    )
