"""Rows of webhooks: pending, delivered, or given up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, or_, select, update

from ..clips.state import Delivery, DeliveryState
from ..storage.tables import clips, webhook_deliveries


@dataclass(frozen=True)
class OutgoingWebhook:
    """A message to one address.

    Attributes:
        clip: Id of the clip that it is about.
        id: Id of the message, the same for every attempt.
        url: Address.
        body: JSON body.
        delivery: State of the delivery.
    """

    clip: str
    id: str
    url: str
    body: str
    delivery: Delivery


def add_webhook(connection: Connection, webhook: OutgoingWebhook) -> None:
    """Insert a webhook."""
    values = {"clip": webhook.clip, "id": webhook.id, "url": webhook.url, "body": webhook.body}
    connection.execute(insert(webhook_deliveries).values({**values, **_delivery_columns(webhook.delivery)}))


def save_delivery(connection: Connection, clip_id: str, delivery: Delivery) -> None:
    """Update the delivery after an attempt; a webhook that was removed meanwhile stays removed."""
    chosen = update(webhook_deliveries).where(webhook_deliveries.c.clip == clip_id)
    connection.execute(chosen.values(_delivery_columns(delivery)))


def due_webhooks(
    connection: Connection, now: float, limit: int, excluded: Collection[str]
) -> tuple[Sequence[OutgoingWebhook], float | None]:
    """Return the pending webhooks that are due, and the time at which the next one is.

    Args:
        connection: Open transaction.
        now: Seconds since 1970.
        limit: Most webhooks returned, those that are due for longest first.
        excluded: Ids of clips whose webhooks are being sent.
    """
    table = webhook_deliveries
    chosen = select(table).where(table.c.state == DeliveryState.PENDING.value, table.c.clip.not_in(excluded))
    rows = connection.execute(chosen.order_by(table.c.next_attempt).limit(limit + 1)).mappings().all()
    due = [row for row in rows[:limit] if row["next_attempt"] <= now]
    next_due = rows[len(due)]["next_attempt"] if len(rows) > len(due) else None
    return [
        OutgoingWebhook(
            row["clip"],
            row["id"],
            row["url"],
            row["body"],
            Delivery(DeliveryState(row["state"]), row["attempts"], row["next_attempt"]),
        )
        for row in due
    ], next_due


def remove_webhook(connection: Connection, clip_id: str) -> None:
    """Delete the webhook of a clip."""
    connection.execute(delete(webhook_deliveries).where(webhook_deliveries.c.clip == clip_id))


def purge_webhooks(connection: Connection, before: float) -> None:
    """Delete webhooks of removed clips that are delivered, given up, or were due before a time."""
    table = webhook_deliveries
    of_removed_clip = table.c.clip.not_in(select(clips.c.id))
    is_over = or_(table.c.state != DeliveryState.PENDING.value, table.c.next_attempt < before)
    connection.execute(delete(table).where(of_removed_clip, is_over))


def _delivery_columns(delivery: Delivery) -> dict[str, str | int | float | None]:
    return {
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt": delivery.next_attempt,
    }
