"""Rate limit of requests: a token bucket for each key, without a clock of its own."""

from __future__ import annotations


class RateLimiter:
    """Token buckets that hold the requests of one minute and refill evenly."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # requests left, and the time of that count

    def acquire(self, key: str, per_minute: int, now: float) -> float:
        """Count one request.

        Args:
            key: Name of the bucket.
            per_minute: Requests that the bucket holds.
            now: Seconds of a clock that never runs backwards.

        Returns:
            0 where the request is granted, otherwise the seconds until one will be.
        """
        left, since = self._buckets.get(key, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / 60)
        granted = left >= 1
        self._buckets[key] = (left - granted, now)
        return 0.0 if granted else (1 - left) * 60 / per_minute
