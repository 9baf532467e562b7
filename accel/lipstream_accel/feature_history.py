"""History of a feature at key steps, and its linear extrapolation to other steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FeatureHistory:
    """A feature at up to two key steps, oldest first, each with its timestep."""

    points: tuple[tuple[float, Tensor], ...] = ()

    def append(self, time: float, feature: Tensor) -> FeatureHistory:
        """Return the history with one more point; only the newest two are kept."""
        return FeatureHistory((*self.points[-1:], (time, feature)))

    def extrapolate(self, time: float) -> Tensor:
        """Return the feature on the line through both points, or the only point's feature if there is one point."""
        last_time, last = self.points[-1]
        if len(self.points) == 1:
            return last
        first_time, first = self.points[0]
        return last + (time - last_time) / (last_time - first_time) * (last - first)
