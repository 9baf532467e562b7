"""The rows of webhooks that are to be sent, or were."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, or_, select, update

from ..clips.state import Delivery, DeliveryState
from ..storage.tables import clips, webhook_deliveries


@dataclass(frozen=True)
class Outgoing:
    """A message to one address. id: the same for every attempt. clip: the id of the one that it is about."""

    clip: str
    id: str
    url: str
    body: str
    delivery: Delivery


def add_outgoing(connection: Connection, outgoing: Outgoing) -> None:
    values = {"clip": outgoing.clip, "id": outgoing.id, "url": outgoing.url, "body": outgoing.body}
    connection.execute(insert(webhook_deliveries).values({**values, **_columns(outgoing.delivery)}))


def save_delivery(connection: Connection, clip: str, delivery: Delivery) -> None:
    """What became of an attempt; one that was removed meanwhile stays removed."""
    chosen = update(webhook_deliveries).where(webhook_deliveries.c.clip == clip)
    connection.execute(chosen.values(_columns(delivery)))


def due(
    connection: Connection, now: float, most: int, without: Collection[str]
) -> tuple[Sequence[Outgoing], float | None]:
    """At most so many that may be sent now, those first that have waited for longest, and when the next one after them may be.

    without: clips of those that are being sent.
    """
    table = webhook_deliveries
    chosen = select(table).where(table.c.state == DeliveryState.PENDING.value, table.c.clip.not_in(without))
    rows = connection.execute(chosen.order_by(table.c.next_attempt).limit(most + 1)).mappings().all()
    ready = [row for row in rows[:most] if row["next_attempt"] <= now]
    later = rows[len(ready)]["next_attempt"] if len(rows) > len(ready) else None
    return [
        Outgoing(
            row["clip"],
            row["id"],
            row["url"],
            row["body"],
            Delivery(DeliveryState(row["state"]), row["attempts"], row["next_attempt"]),
        )
        for row in ready
    ], later


def remove_outgoing(connection: Connection, clip: str) -> None:
    connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.clip == clip))


def forget_outgoing(connection: Connection, before: float) -> None:
    """Those of clips that are gone, once they were sent or given up, or should have been sent before that time."""
    table = webhook_deliveries
    gone = table.c.clip.not_in(select(clips.c.id))
    over = or_(table.c.state != DeliveryState.PENDING.value, table.c.next_attempt < before)
    connection.execute(delete(table).where(gone, over))


def _columns(delivery: Delivery) -> dict[str, str | int | float | None]:
    return {
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt": delivery.next_attempt,
    }
