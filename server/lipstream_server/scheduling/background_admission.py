"""Admission control for background (clip) windows: never start one that would delay a live window."""

from __future__ import annotations

from collections import deque
from statistics import median

REQUEUE_GRACE_S = 0.05
"""Upper bound in seconds on the time between a window's result and the session's next request."""
_COST_SAMPLES = 5


class BackgroundAdmission:
    """Predicts when sessions need the device next; times are seconds of time.monotonic.

    Args:
        max_starvation_s: Time without a background window after which one is admitted in any case, so that clips make
            progress beside a session that never pauses. It delays one live window by its own duration.
    """

    def __init__(self, max_starvation_s: float = 10.0) -> None:
        self._max_starvation_s = max_starvation_s
        self._latest_starts: list[float] = []  # at which the next windows of sessions must start
        self._costs: deque[float] = deque(maxlen=_COST_SAMPLES)
        self._grace_until = 0.0
        self._last_background = 0.0

    def record_session_window(self, now: float, deadline: float, media_seconds: float, cost: float) -> None:
        """Record that a session's window was generated.

        Args:
            now: Time of the result.
            deadline: Time at which its first frame is due.
            media_seconds: Duration of its media, after which the next window is due.
            cost: Expected duration of generating the next window.
        """
        self._grace_until = now + REQUEUE_GRACE_S
        self._latest_starts = [start for start in self._latest_starts if start > now]
        self._latest_starts.append(deadline + media_seconds - cost)

    def record_background_window(self, now: float, duration: float) -> None:
        """Record that a background window was generated."""
        self._costs.append(duration)
        self._last_background = now

    def seconds_to_wait(self, now: float) -> float:
        """Return how long the next background window must wait unless a session requests one before; 0 admits it."""
        grace = max(0.0, self._grace_until - now)
        if grace or now - self._last_background > self._max_starvation_s:
            return grace
        cost = median(self._costs) if self._costs else 0.0
        conflicts = [start for start in self._latest_starts if start - cost < now < start + REQUEUE_GRACE_S]
        return max(conflicts, default=now - REQUEUE_GRACE_S) + REQUEUE_GRACE_S - now
