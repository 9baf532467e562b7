"""Trace of a session: one span for each window, with a span for each of its stages.

Spans are created afterwards from times that were measured anyway. The last stages of a window are those of the fragment that
shows its first frame.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..engines.base import WindowResult
from ..scheduling.batches import WindowJob
from .playout import MediaChunk

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

_MAX_PENDING = 64


@dataclass(frozen=True)
class _PendingWindow:
    """Window that was generated and has not been sent."""

    utterance: int
    start: int
    span: Span
    context: Context
    ready_at: float


class SessionTrace:
    """Trace of one session; times are seconds of time.monotonic."""

    def __init__(self, tracer: Tracer, session: str, preset: str, started_at: float) -> None:
        from opentelemetry import trace

        self._tracer, self._context_of = tracer, trace.set_span_in_context
        self._epoch_offset = time.time() - time.monotonic()
        attributes = {"lipstream.session": session, "lipstream.preset": preset}
        self._span = tracer.start_span(
            "session", attributes=attributes, start_time=self._epoch_ns(started_at)
        )
        self._context = self._context_of(self._span)
        self._pending: deque[_PendingWindow] = deque(maxlen=_MAX_PENDING)

    def add_window(self, job: WindowJob, result: WindowResult, now: float) -> None:
        """Start the span of a window whose result arrived now; time that no stage took was queueing."""
        work, request = result.timings, job.request
        attributes = {
            "lipstream.utterance": job.utterance,
            "lipstream.start": request.start,
            "lipstream.frames": request.frames,
        }
        start_time = self._epoch_ns(job.requested_at)
        span = self._tracer.start_span("window", self._context, attributes=attributes, start_time=start_time)
        context = self._context_of(span)
        at = now - work.audio_encoding - work.denoising - work.decoding
        self._add_stage("queueing", context, job.requested_at, max(job.requested_at, at))
        for name, seconds in (
            ("audio_encoding", work.audio_encoding),
            ("denoising", work.denoising),
            ("decoding", work.decoding),
        ):
            self._add_stage(name, context, at, at + seconds)
            at += seconds
        self._pending.append(_PendingWindow(job.utterance, request.start, span, context, now))

    def add_fragment(self, chunk: MediaChunk, started_at: float, encoded_at: float, sent_at: float) -> None:
        """End the spans of the windows whose first frame was sent with this chunk."""
        while self._pending and self._pending[0].utterance <= chunk.utterance:
            window = self._pending[0]
            if window.utterance == chunk.utterance and window.start >= chunk.utterance_frames:
                return
            self._pending.popleft()
            if window.utterance == chunk.utterance:
                self._add_stage("buffered", window.context, window.ready_at, started_at)
                self._add_stage("encoding", window.context, started_at, encoded_at)
                self._add_stage("sending", window.context, encoded_at, sent_at)
            window.span.end(self._epoch_ns(sent_at))

    def drop_pending(self, now: float) -> None:
        """End the spans of windows that will not be shown, marked as dropped."""
        while self._pending:
            span = self._pending.popleft().span
            span.set_attribute("lipstream.dropped", True)
            span.end(self._epoch_ns(now))

    def end(self, reason: str, now: float) -> None:
        """End the trace."""
        self.drop_pending(now)
        self._span.set_attribute("lipstream.reason", reason)
        self._span.end(self._epoch_ns(now))

    def _add_stage(self, name: str, context: Context, start: float, end: float) -> None:
        self._tracer.start_span(name, context, start_time=self._epoch_ns(start)).end(self._epoch_ns(end))

    def _epoch_ns(self, monotonic: float) -> int:
        """Return a monotonic time as nanoseconds since 1970."""
        return round((monotonic + self._epoch_offset) * 1e9)
