"""A session as a trace: one span for each window, with a span for each of its stages.

Spans are made afterwards, from times that were taken anyway; a window's last two stages are those of the fragment that shows
its first frame.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..engines.base import Made
from .conversation import Burst, Due

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

_MOST_PENDING = 64


@dataclass(frozen=True)
class _Pending:
    """A window that was made and has not been shown."""

    utterance: int
    start: int
    span: Span
    inside: Context
    made: float


class SessionTrace:
    """Times are seconds of time.monotonic."""

    def __init__(self, tracer: Tracer, session: str, preset: str, began: float) -> None:
        from opentelemetry import trace

        self._tracer, self._enter = tracer, trace.set_span_in_context
        self._since = time.time() - time.monotonic()
        names = {"lipstream.session": session, "lipstream.preset": preset}
        self._span = tracer.start_span("session", attributes=names, start_time=self._at(began))
        self._inside = self._enter(self._span)
        self._pending: deque[_Pending] = deque(maxlen=_MOST_PENDING)

    def window(self, due: Due, made: Made, now: float) -> None:
        """It is there now. What passed and was not work was waiting."""
        work, request = made.work, due.request
        attributes = {
            "lipstream.utterance": due.utterance,
            "lipstream.start": request.start,
            "lipstream.frames": request.frames,
        }
        span = self._tracer.start_span(
            "window", self._inside, attributes=attributes, start_time=self._at(due.asked)
        )
        inside = self._enter(span)
        at = now - work.hearing - work.denoising - work.decoding
        self._stage("wait", inside, due.asked, max(due.asked, at))
        for name, seconds in (
            ("hearing", work.hearing),
            ("denoise", work.denoising),
            ("decode", work.decoding),
        ):
            self._stage(name, inside, at, at + seconds)
            at += seconds
        self._pending.append(_Pending(due.utterance, request.start, span, inside, now))

    def fragment(self, burst: Burst, began: float, encoded: float, sent: float) -> None:
        """It has been sent; windows whose first frame it has shown are complete."""
        while self._pending and self._pending[0].utterance <= burst.utterance:
            window = self._pending[0]
            if window.utterance == burst.utterance and window.start >= burst.shown:
                return
            self._pending.popleft()
            if window.utterance == burst.utterance:
                self._stage("hold", window.inside, window.made, began)
                self._stage("encode", window.inside, began, encoded)
                self._stage("send", window.inside, encoded, sent)
            window.span.end(self._at(sent))

    def drop(self, now: float) -> None:
        """What has not been shown will not be."""
        while self._pending:
            span = self._pending.popleft().span
            span.set_attribute("lipstream.dropped", True)
            span.end(self._at(now))

    def ended(self, reason: str, now: float) -> None:
        self.drop(now)
        self._span.set_attribute("lipstream.reason", reason)
        self._span.end(self._at(now))

    def _stage(self, name: str, inside: Context, begin: float, end: float) -> None:
        self._tracer.start_span(name, inside, start_time=self._at(begin)).end(self._at(end))

    def _at(self, monotonic: float) -> int:
        """Nanoseconds since 1970."""
        return round((monotonic + self._since) * 1e9)
