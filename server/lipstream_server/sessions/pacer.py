"""When the next burst is due: media time against a clock, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pacer:
    """begin: when media time 0 was due. lag: how far behind the clock may be before it is set back.

    lateness: the worst since it was last taken. skipped: seconds by which the clock was set back.
    """

    begin: float
    lag: float
    lateness: float = 0.0
    skipped: float = 0.0

    def wait(self, media: float, now: float) -> float:
        """Seconds until media time `media` is due, 0 if it is late. Too late, and the clock is set back: what cannot be caught
        up is not queued.
        """
        ahead = self.begin + media - now
        self.lateness = max(self.lateness, -ahead)
        if -ahead > self.lag:
            self.skipped += -ahead
            self.begin += -ahead
        return max(0.0, ahead)

    def take_lateness(self) -> float:
        worst, self.lateness = self.lateness, 0.0
        return worst
