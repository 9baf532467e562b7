"""What a session tells those who look on: metrics as it goes, its trace, and its figures in one line when it ends."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

from ..engines.base import Made
from ..observability.logs import log_event
from ..observability.telemetry import Watch
from .conversation import Burst, Counters, Due
from .session_trace import SessionTrace

log = logging.getLogger(__name__)
_MOST_DELAYS = 4096


class SessionWatch:
    """It begins with the session. Times are seconds of time.monotonic."""

    def __init__(self, watch: Watch, session: str, preset: str, container: str) -> None:
        self._metrics = watch.metrics
        self._began = time.monotonic()
        self._counted: dict[str, int] = {}
        self._counters = Counters()
        self._skipped = 0.0
        self._delays: deque[float] = deque(maxlen=_MOST_DELAYS)
        tracer = watch.tracer
        self._trace = None if tracer is None else SessionTrace(tracer, session, preset, self._began)
        self._metrics.session_began()
        log_event(log, "session began", preset=preset, container=container)

    def window(self, due: Due, made: Made, now: float) -> None:
        if self._trace is not None:
            self._trace.window(due, made, now)

    def interrupted(self) -> None:
        if self._trace is not None:
            self._trace.drop(time.monotonic())

    def fragment(self, burst: Burst, began: float, encoded: float, sent: float, lateness: float) -> None:
        """A burst was encoded and sent. lateness: by how much it began after its time."""
        self._metrics.fragment(encoded - began, sent - encoded, lateness)
        if self._trace is not None:
            self._trace.fragment(burst, began, encoded, sent)

    def first_picture(self, delay: float) -> None:
        """Of an utterance. delay: since its first byte."""
        self._delays.append(delay)
        self._metrics.first_picture(delay)

    def count(self, counters: Counters, skipped: float) -> None:
        """Both as they are since the session began."""
        now = _shown(counters)
        more = {kind: count - self._counted.get(kind, 0) for kind, count in now.items()}
        self._metrics.frames(more, skipped - self._skipped)
        self._counted, self._counters, self._skipped = now, counters, skipped

    def ended(self, reason: str) -> None:
        self._metrics.session_ended(reason)
        now, counters = time.monotonic(), self._counters
        if self._trace is not None:
            self._trace.ended(reason, now)
        log_event(
            log,
            "session ended",
            reason=reason,
            seconds=round(now - self._began, 1),
            pictures=counters.frames,
            held=counters.late_frames,
            starved=counters.starved_frames,
            skipped_ms=round(1000 * self._skipped),
            utterances=len(self._delays),
            delay_p50_ms=quantile_ms(self._delays, 0.5),
            delay_p95_ms=quantile_ms(self._delays, 0.95),
        )


def quantile_ms(seconds: Sequence[float], share: float) -> int | None:
    """The smallest that so large a share does not exceed; None of nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def _shown(counters: Counters) -> dict[str, int]:
    """The sum is the number of frames."""
    idle, late, starved = counters.idle_frames, counters.late_frames, counters.starved_frames
    return {"spoken": counters.frames - idle - late - starved, "idle": idle, "late": late, "starved": starved}
