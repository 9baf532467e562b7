"""Pacer: when the next chunk of media is due."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pacer:
    """Media clock of a session against the real clock; times in seconds.

    Attributes:
        started_at: Time at which media time 0 was due.
        max_lag: Lag behind the clock beyond which the clock is set back.
        lateness: Largest lateness since `take_lateness`.
        skipped: Total time by which the clock was set back.
    """

    started_at: float
    max_lag: float
    lateness: float = 0.0
    skipped: float = 0.0

    def due_at(self, media_time: float) -> float:
        """Return the time at which `media_time` is due."""
        return self.started_at + media_time

    def seconds_until(self, media_time: float, now: float) -> float:
        """Return the seconds until `media_time` is due, 0 when it is late.

        With more lag than `max_lag` the clock is set back, so that media that cannot be caught up does not queue.
        """
        remaining = self.due_at(media_time) - now
        self.lateness = max(self.lateness, -remaining)
        if -remaining > self.max_lag:
            self.skipped += -remaining
            self.started_at += -remaining
        return max(0.0, remaining)

    def take_lateness(self) -> float:
        """Return the largest lateness and reset it."""
        worst, self.lateness = self.lateness, 0.0
        return worst
