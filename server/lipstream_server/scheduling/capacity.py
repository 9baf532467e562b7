"""What a window costs when several sessions share a device, and so how many sessions there may be."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

MAX_SESSIONS = 64


@dataclass(frozen=True)
class CapacityModel:
    """one, two: seconds that a device takes for a window, and for two in a batch. most_batch: windows of a batch.

    A batch of n is taken to cost what it costs to begin one, and n times what another window adds.
    """

    one: float
    two: float
    most_batch: int

    def round(self, sessions: int) -> float:
        """Seconds in which every one of so many sessions has had a window. Sessions are not in step: of several, each may find
        the device at a batch that others are in, so there are two batches at least.
        """
        if sessions <= 1:
            return self.one
        batches = max(2, ceil(sessions / self.most_batch))
        return batches * (self.one - self._each) + sessions * self._each

    def slower(self, sessions: int) -> float:
        """How many times as long as alone a session waits for a window, where there are so many."""
        return self.round(sessions) / self.one if self.one > 0 else 1.0

    def most_sessions(self, budget: float) -> int:
        """The most sessions whose round takes no more than `budget` seconds; at least one."""
        return max(
            (n for n in range(2, MAX_SESSIONS + 1) if self.round(n) <= budget),
            default=1,
        )

    @property
    def _each(self) -> float:
        """A measurement may say that a second window costs nothing, or more than the first one."""
        return min(self.one, max(self.two - self.one, self.one / 20))
