"""Where clips report that they have ended. `webhooks.outbox` implements it."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection

from .state import Clip, Delivery


class Outbox(Protocol):
    """Messages about ended clips. All methods but `notify` are called in the storage thread."""

    def add(self, connection: Connection, clip: Clip) -> Delivery:
        """Store the message about a clip in its final state, within the transaction that stores the state."""

    def remove(self, connection: Connection, clip_id: str) -> None:
        """Delete the message about a clip, sent or not."""

    def purge(self, connection: Connection, before: float) -> None:
        """Delete messages about removed clips that are sent, given up, or due before a time."""

    def notify(self) -> None:
        """Say, on the event loop, that a message may have been added."""
