"""Traces of sessions: each window with all its stages in order of time; nothing is imported without tracing."""

import gzip
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from live_server import (
    Interrupt,
    SessionEnd,
    UtteranceEnd,
    connected,
    running,
    tone,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from server_process import serving

from lipstream_server.config.settings import ServerSettings, WindowSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.observability.tracing import TracingError, open_tracer
from lipstream_server.protocol import (
    SessionReady,
    SessionStart,
    UtteranceEnded,
    UtteranceStarted,
)

STAGES = ["queueing", "audio_encoding", "denoising", "decoding", "buffered", "encoding", "sending"]


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


async def test_trace_has_all_stages_of_each_window() -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    settings = ServerSettings(max_sessions=1, windows=WindowSettings(lengths=(4, 16)))
    engine = StubEngine(seconds_per_window=0.01)
    tracer = provider.get_tracer("test")
    async with (
        running(engine, settings, tracer=tracer) as address,
        connected(address, SessionStart()) as client,
    ):
        ready = client.received[0]
        assert isinstance(ready, SessionReady)
        await client.send(tone(1.0))
        await client.send(UtteranceEnd())
        await client.until(UtteranceEnded)
        await client.send(tone(3.0))
        await client.until(UtteranceStarted)
        await client.send(Interrupt())
        await client.until(UtteranceEnded)
        await client.send(SessionEnd())
        await client.to_the_end()
    found = spans.get_finished_spans()
    (session,) = [span for span in found if span.name == "session"]
    assert session.attributes == {
        "lipstream.session": ready.session,
        "lipstream.preset": "realtime",
        "lipstream.reason": "ended",
    }
    assert {span.context.trace_id for span in found} == {session.context.trace_id}
    windows = [span for span in found if span.name == "window"]
    assert len(windows) >= 3
    assert {parent(span) for span in windows} == {session.context.span_id}
    for window in windows:
        inside = [span for span in found if span.parent and parent(span) == window.context.span_id]
        dropped = "lipstream.dropped" in window.attributes
        assert [span.name for span in inside] == (STAGES[:4] if dropped else STAGES)
        times = [time for span in inside for time in (span.start_time, span.end_time)]
        assert times == sorted(times)
        assert window.start_time <= times[0]
        assert times[-1] <= window.end_time <= session.end_time
    shown = [w for w in windows if w.attributes["lipstream.utterance"] == 1]
    assert not any("lipstream.dropped" in window.attributes for window in shown)
    starts = [(w.attributes["lipstream.start"], w.attributes["lipstream.frames"]) for w in shown]
    assert starts[0] == (0, 4)
    assert all(start + frames == after for (start, frames), (after, _) in pairwise(starts))


async def test_traces_are_exported_before_the_server_ends(tmp_path: Path) -> None:
    collected: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                collected.extend(span.name for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{collector.server_port}"
        with serving(tmp_path / "data", "--trace", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as process:
            async with connected(process.address, SessionStart()) as client:
                await client.send(tone(0.5))
                await client.send(UtteranceEnd())
                await client.until(UtteranceEnded)
            process.signal(signal.SIGTERM)
            assert process.wait(20) == 0
        collector.shutdown()
    assert {"session", "window", *STAGES} == set(collected)


def test_opentelemetry_is_not_imported_without_tracing() -> None:
    code = "import sys, lipstream_server.api.app, lipstream_server.commands.serve; print('opentelemetry.sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_missing_packages_are_reported_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingError, match=r"pip install -e '\.\[trace\]'"):
        open_tracer()
