"""Features at steps that do not compute them, from those that did."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Trace:
    """A feature at up to two key steps, oldest first, each with its time step."""

    points: tuple[tuple[float, Tensor], ...] = ()

    def after(self, time: float, feature: Tensor) -> Trace:
        """The trace with one more point; the oldest is forgotten."""
        return Trace((*self.points[-1:], (time, feature)))

    def at(self, time: float) -> Tensor:
        """The feature on the line through both points; the only point's while there is no other."""
        last_time, last = self.points[-1]
        if len(self.points) == 1:
            return last
        first_time, first = self.points[0]
        return last + (time - last_time) / (last_time - first_time) * (last - first)
