"""How many requests a minute a key may make, without a clock of its own."""

from __future__ import annotations


class Rates:
    """A bucket for each key, which holds a minute's requests and fills evenly."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # what is in it, and when that was so

    def take(self, key: str, per_minute: int, now: float) -> float:
        """0 where the request is granted, else seconds until one will be. now: seconds, never less than before."""
        left, since = self._buckets.get(key, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / 60)
        granted = left >= 1
        self._buckets[key] = (left - granted, now)
        return 0.0 if granted else (1 - left) * 60 / per_minute
