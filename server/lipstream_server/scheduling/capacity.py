"""Capacity of a device: how long windows take when several sessions share it, and how many sessions it keeps in real time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

MAX_SESSIONS = 64


@dataclass(frozen=True)
class CapacityModel:
    """Linear model of batch durations: a fixed cost for each batch and a marginal cost for each window.

    Attributes:
        single_seconds: Measured duration of a batch of one window.
        pair_seconds: Measured duration of a batch of two windows.
        max_batch: Largest batch.
    """

    single_seconds: float
    pair_seconds: float
    max_batch: int

    def cycle_time(self, sessions: int) -> float:
        """Return the seconds in which each of `sessions` sessions gets one window.

        Sessions are not in step: each may find the device busy with a batch of others, so several sessions take at least
        two batches.
        """
        if sessions <= 1:
            return self.single_seconds
        batches = max(2, ceil(sessions / self.max_batch))
        return batches * (self.single_seconds - self._marginal_seconds) + sessions * self._marginal_seconds

    def slowdown(self, sessions: int) -> float:
        """Return the factor by which a session waits longer for a window than it would alone."""
        return self.cycle_time(sessions) / self.single_seconds if self.single_seconds > 0 else 1.0

    def max_sessions(self, budget_seconds: float) -> int:
        """Return the most sessions whose cycle time is within the budget; at least one."""
        fitting = (n for n in range(2, MAX_SESSIONS + 1) if self.cycle_time(n) <= budget_seconds)
        return max(fitting, default=1)

    @property
    def _marginal_seconds(self) -> float:
        """Cost of one more window in a batch; bounded because a measurement may give none, or more than the first."""
        return min(
            self.single_seconds, max(self.pair_seconds - self.single_seconds, self.single_seconds / 20)
        )
