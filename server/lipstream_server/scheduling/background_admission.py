"""When a window of the background may be made, so that no session's window comes late for it."""

from __future__ import annotations

from collections import deque
from statistics import median

REQUEUE_GRACE_S = 0.05
"""Seconds that a session takes to ask again, at most."""
_REMEMBERED = 5


class BackgroundAdmission:
    """Times in seconds of time.monotonic. patience: after so many seconds without a window of the background one is made in any
    case, so that clips get on beside a session that never pauses; it delays one window of that by its own length.
    """

    def __init__(self, patience: float = 10.0) -> None:
        self._patience = patience
        self._expected: list[
            float
        ] = []  # when sessions' next windows are asked for, if at all, and have to be begun
        self._costs: deque[float] = deque(maxlen=_REMEMBERED)
        self._free_from = 0.0
        self._last = 0.0

    def session(self, now: float, deadline: float, seconds: float, cost: float) -> None:
        """A session's window came now. deadline: of its first frame; seconds: that it lasts; cost: what one like it takes."""
        self._free_from = now + REQUEUE_GRACE_S
        self._expected = [begin for begin in self._expected if begin > now]
        self._expected.append(deadline + seconds - cost)

    def background(self, now: float, seconds: float) -> None:
        """A window of the background was made, in so many seconds."""
        self._costs.append(seconds)
        self._last = now

    def wait(self, now: float) -> float:
        """Seconds for which the next one of the background has to wait, unless a session asks for something before; 0 for none."""
        rest = max(0.0, self._free_from - now)
        if rest or now - self._last > self._patience:
            return rest
        cost = median(self._costs) if self._costs else 0.0
        hindered = [begin for begin in self._expected if begin - cost < now < begin + REQUEUE_GRACE_S]
        return max(hindered, default=now - REQUEUE_GRACE_S) + REQUEUE_GRACE_S - now
