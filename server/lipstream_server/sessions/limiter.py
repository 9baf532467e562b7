"""Admission of sessions: how many are active, and how many may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BusyError


class SessionLimiter:
    """Counts active sessions against the session limit.

    Args:
        configured: Session limit that the operator set; None to use the measured capacity.
        retry_after_seconds: Time after which refused clients should try again.

    Attributes:
        active: Active sessions.
        limit: Session limit; 1 until the capacity is measured.
    """

    def __init__(self, configured: int | None, retry_after_seconds: float) -> None:
        self._configured, self._retry_after_seconds = configured, retry_after_seconds
        self.active = 0
        self.limit = configured or 1

    @property
    def is_full(self) -> bool:
        """Whether another session would be refused."""
        return self.active >= self.limit

    @property
    def expected_sessions(self) -> int:
        """Sessions to budget for: active plus one, unless the limit was set by the operator.

        A measured limit promises real time to all sessions. A configured one does not, and a single session does not
        wait for others that may never come.
        """
        return min(self.active + 1, self.limit) if self._configured is None else self.active

    def apply_capacity(self, sessions: int) -> None:
        """Use the measured capacity as limit, unless the operator set one."""
        if self._configured is None:
            self.limit = sessions

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a session slot, which is taken at once, so that two sessions cannot take the last one.

        Raises:
            BusyError: The session limit is reached.
        """
        if self.is_full:
            raise BusyError(f"all {self.limit} sessions are taken", self._retry_after_seconds, "full")
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
