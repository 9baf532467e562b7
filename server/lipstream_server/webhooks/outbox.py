"""The outbox of webhooks: messages wait in the database until the sender has delivered them."""

from __future__ import annotations

import asyncio
import secrets

from sqlalchemy import Connection

from ..clips.outbox import Outbox
from ..clips.state import Clip, Delivery, DeliveryState
from .message import webhook_body
from .table import (
    OutgoingWebhook,
    add_webhook,
    purge_webhooks,
    remove_webhook,
)

_ID_BYTES = 12


class WebhookOutbox(Outbox):
    """Messages to the webhook addresses of clips.

    Attributes:
        changed: Set when a message may have been added; the sender clears it.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def add(self, connection: Connection, clip: Clip) -> Delivery:
        """Store the message about a clip in its final state, which has a webhook address."""
        url = clip.spec.webhook_url
        if url is None:
            raise ValueError(f"clip {clip.id} has no webhook address")
        delivery = Delivery(DeliveryState.PENDING, 0, clip.ended)
        message_id = f"msg_{secrets.token_hex(_ID_BYTES)}"
        add_webhook(connection, OutgoingWebhook(clip.id, message_id, url, webhook_body(clip), delivery))
        return delivery

    def remove(self, connection: Connection, clip_id: str) -> None:
        """Delete the message about a clip, sent or not."""
        remove_webhook(connection, clip_id)

    def purge(self, connection: Connection, before: float) -> None:
        """Delete messages about removed clips that are sent, given up, or due before a time."""
        purge_webhooks(connection, before)

    def notify(self) -> None:
        """Wake the sender."""
        self.changed.set()
