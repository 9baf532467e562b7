"""How often an engine was lost lately: how long to wait before it is brought back, and when to give up. No clock."""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST_WAIT = 0.25
_LONGEST_WAIT = 8.0


@dataclass
class Losses:
    """most: within so many seconds; with one more it is given up."""

    most: int
    within: float
    _times: list[float] = field(default_factory=list)

    def add(self, now: float) -> float | None:
        """One more. Returns the seconds to wait: none at first, then twice as long each time; None: give up."""
        self._times = [time for time in self._times if now - time < self.within] + [now]
        before = len(self._times) - 1
        if before >= self.most:
            return None
        return min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (before - 1)) if before else 0.0
