"""How a server stops without cutting anyone off: it takes nobody new, and those who are there go on up to a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DRAIN_SECONDS = 30.0
_FAREWELL_SECONDS = 1.0


class Drain:
    """limit: seconds that sessions may go on. Times are seconds of one clock, given by the caller.

    A signal handler may call `begin` and `hurry`: nothing here waits.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._ends: float | None = None
        self._sessions = 0

    @property
    def begun(self) -> bool:
        return self._ends is not None

    def begin(self, now: float) -> None:
        if self._ends is None:
            self._ends = now + self.limit

    def hurry(self, now: float) -> None:
        """The limit is over."""
        self._ends = now

    def left(self, now: float) -> float:
        """Seconds that a session may still go on; 0 where the limit is over."""
        return float("inf") if self._ends is None else max(0.0, self._ends - now)

    def done(self, now: float) -> bool:
        """Whether there is nobody left to wait for: all have gone, or had the time to be sent away."""
        if self._ends is None:
            return False
        return not self._sessions or now > self._ends + _FAREWELL_SECONDS

    @contextmanager
    def session(self) -> Iterator[None]:
        """While this lasts, somebody is waited for."""
        self._sessions += 1
        try:
            yield
        finally:
            self._sessions -= 1
