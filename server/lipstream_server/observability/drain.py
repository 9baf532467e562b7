"""Drain of a server that stops: no new sessions; running ones may go on up to a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DRAIN_SECONDS = 30.0
_CLOSING_GRACE_S = 1.0


class Drain:
    """State of the shutdown; times are seconds of one clock, given by the caller.

    Signal handlers may call `start` and `expire`: no method blocks.

    Args:
        limit_seconds: Time for which sessions may go on.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._ends_at: float | None = None
        self._sessions = 0

    @property
    def has_started(self) -> bool:
        """Whether the server is stopping."""
        return self._ends_at is not None

    def start(self, now: float) -> None:
        """Start the drain; a second call changes nothing."""
        if self._ends_at is None:
            self._ends_at = now + self.limit_seconds

    def expire(self, now: float) -> None:
        """End the time limit now."""
        self._ends_at = now

    def seconds_left(self, now: float) -> float:
        """Return the seconds for which sessions may go on: infinity before the drain, 0 after the limit."""
        return float("inf") if self._ends_at is None else max(0.0, self._ends_at - now)

    def is_done(self, now: float) -> bool:
        """Return whether all sessions have ended, or have had the time to be closed after the limit."""
        if self._ends_at is None:
            return False
        return not self._sessions or now > self._ends_at + _CLOSING_GRACE_S

    @contextmanager
    def session(self) -> Iterator[None]:
        """Hold the drain up while a session runs."""
        self._sessions += 1
        try:
            yield
        finally:
            self._sessions -= 1
