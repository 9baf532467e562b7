"""Recent durations of windows on this device, from which the next ones are estimated."""

from __future__ import annotations

from collections import deque
from statistics import median

_SAMPLES = 5  # the median ignores single windows that something else delayed


class WindowCosts:
    """Durations from request to result by window length; times are seconds of time.monotonic."""

    def __init__(self) -> None:
        self._windows: dict[int, deque[float]] = {}
        self._prefetches: deque[float] = deque(maxlen=_SAMPLES)
        self._valid_from = 0.0

    def window_cost(self, frames: int) -> float:
        """Return the expected seconds from requesting a window to its result; 0 before the first one.

        A length without measurements costs what the nearest measured one does, frame by frame.
        """
        if not self._windows:
            return 0.0
        nearest = min(self._windows, key=lambda length: abs(length - frames))
        return median(self._windows[nearest]) * max(1.0, frames / nearest)

    @property
    def prefetch_cost(self) -> float:
        """Expected seconds for which the device is busy after a window, with prefetching for the next one."""
        return median(self._prefetches) if self._prefetches else 0.0

    def reset(self, frames: int) -> None:
        """Discard the measurements of one window length."""
        self._windows.pop(frames, None)

    def ignore_before(self, time: float) -> None:
        """Ignore measurements that started before `time`, because the engine was restarted."""
        self._valid_from = time

    def record_window(self, frames: int, requested_at: float, now: float) -> None:
        """Record the duration of a window."""
        if requested_at > self._valid_from:
            self._windows.setdefault(frames, deque(maxlen=_SAMPLES)).append(now - requested_at)

    def record_prefetch(self, streams: int, started_at: float, now: float) -> bool:
        """Record the duration of a prefetch for `streams` streams; return whether it counts."""
        if started_at <= self._valid_from:
            return False
        self._prefetches.append((now - started_at) / streams)
        return True
