"""When a process that died is restarted, and when it is given up. No clock."""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST_DELAY = 0.25  # seconds
_MAX_DELAY = 8.0


@dataclass
class RestartPolicy:
    """Exponential backoff with a limit.

    Attributes:
        max_restarts: Restarts within a period; after that the process is given up.
        period: Seconds for which a death counts.
    """

    max_restarts: int
    period: float
    _deaths: list[float] = field(default_factory=list)

    def record_death(self, now: float) -> float | None:
        """Return the seconds to wait before the restart: 0 at first, then doubling; None to give up."""
        self._deaths = [death for death in self._deaths if now - death < self.period] + [now]
        before = len(self._deaths) - 1
        if before >= self.max_restarts:
            return None
        return min(_MAX_DELAY, _FIRST_DELAY * 2 ** (before - 1)) if before else 0.0
