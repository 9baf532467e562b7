"""Telemetry of one session: metrics as it goes, its trace, and a log line with its figures at the end."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

from ..engines.base import WindowResult
from ..observability.logs import log_event
from ..observability.metrics import FrameKind
from ..observability.telemetry import Telemetry
from ..scheduling.batches import WindowJob
from .conversation import Counters
from .playout import MediaChunk
from .session_trace import SessionTrace

log = logging.getLogger(__name__)
_MAX_LATENCIES = 4096


class SessionTelemetry:
    """Records the events of one session, from its start; times are seconds of time.monotonic."""

    def __init__(self, telemetry: Telemetry, session: str, preset: str, container: str) -> None:
        self._metrics = telemetry.metrics
        self._started_at = time.monotonic()
        self._recorded: dict[FrameKind, int] = {}
        self._counters = Counters()
        self._skipped = 0.0
        self._latencies: deque[float] = deque(maxlen=_MAX_LATENCIES)
        tracer = telemetry.tracer
        self._trace = None if tracer is None else SessionTrace(tracer, session, preset, self._started_at)
        self._metrics.record_session_start()
        log_event(log, "session started", preset=preset, container=container)

    def record_window(self, job: WindowJob, result: WindowResult, now: float) -> None:
        """Record a window whose result arrived now."""
        if self._trace is not None:
            self._trace.add_window(job, result, now)

    def record_interrupt(self) -> None:
        """Record that all pending windows were dropped."""
        if self._trace is not None:
            self._trace.drop_pending(time.monotonic())

    def record_fragment(
        self, chunk: MediaChunk, started_at: float, encoded_at: float, sent_at: float, lateness: float
    ) -> None:
        """Record a chunk that was encoded and sent; `lateness` is the time by which it started after it was due."""
        self._metrics.record_fragment(encoded_at - started_at, sent_at - encoded_at, lateness)
        if self._trace is not None:
            self._trace.add_fragment(chunk, started_at, encoded_at, sent_at)

    def record_first_frame(self, latency: float) -> None:
        """Record the first-frame latency of an utterance in seconds."""
        self._latencies.append(latency)
        self._metrics.record_first_frame_latency(latency)

    def record_counters(self, counters: Counters, skipped: float) -> None:
        """Record the growth of the session's counters and of the time that its clock skipped."""
        total = _frames_by_kind(counters)
        growth = {kind: count - self._recorded.get(kind, 0) for kind, count in total.items()}
        self._metrics.record_frames(growth, skipped - self._skipped)
        self._recorded, self._counters, self._skipped = total, counters, skipped

    def record_end(self, reason: str) -> None:
        """Record the end of the session and log its figures."""
        self._metrics.record_session_end(reason)
        now, counters = time.monotonic(), self._counters
        if self._trace is not None:
            self._trace.end(reason, now)
        log_event(
            log,
            "session ended",
            reason=reason,
            seconds=round(now - self._started_at, 1),
            frames=counters.frames,
            repeated_frames=counters.repeated_frames,
            underrun_frames=counters.underrun_frames,
            skipped_ms=round(1000 * self._skipped),
            utterances=len(self._latencies),
            latency_p50_ms=quantile_ms(self._latencies, 0.5),
            latency_p95_ms=quantile_ms(self._latencies, 0.95),
        )


def quantile_ms(seconds: Sequence[float], share: float) -> int | None:
    """Return the nearest-rank quantile in milliseconds, None of an empty sequence."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def _frames_by_kind(counters: Counters) -> dict[FrameKind, int]:
    """Return the frames that were sent, split by kind."""
    idle, repeated, underrun = counters.idle_frames, counters.repeated_frames, counters.underrun_frames
    speech = counters.frames - idle - repeated - underrun
    return {"speech": speech, "idle": idle, "repeated": repeated, "underrun": underrun}
