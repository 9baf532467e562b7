"""Prometheus metrics of the server; docker/README.md lists them with alert thresholds.

Every application has a registry of its own. Events are recorded once a window or once a fragment, never once a sample; each
takes microseconds. States are read when `/metrics` is scraped (api/probe_routes.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

Kind = Literal["session", "clip"]
WindowStage = Literal["audio_encoding", "denoising", "decoding"]
FrameKind = Literal["speech", "idle", "repeated", "underrun"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STAGES = ("queueing", "audio_encoding", "denoising", "decoding", "encoding", "sending")
_FRAME_KINDS: tuple[FrameKind, ...] = ("speech", "idle", "repeated", "underrun")
# `increase` misses a counter's first event unless the 0 before it was scraped: labels that alerts use exist from the start.
_END_REASONS = ("ended", "gone", "slow_reader", "engine_lost", "internal", "shutdown")
_REFUSALS = (("session", "full"), ("request", "busy"))
_WEBHOOK_OUTCOMES = ("delivered", "failed", "given_up")
_STAGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LATENCY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_LATENESS_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
_FACTOR_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 4.0)


@dataclass(frozen=True)
class BatchMeasurement:
    """Measurements of one generated batch; durations in seconds.

    Attributes:
        kind: Whether its windows belong to sessions or to a clip.
        preset: Sampling plan of its windows.
        media_seconds: Duration of the media in each of its windows.
        busy_seconds: Time for which the device worked.
        queueing: Time for which each window waited for the device, one value a window.
        stages: Duration of each stage of the batch.
    """

    kind: Kind
    preset: str
    media_seconds: float
    busy_seconds: float
    queueing: tuple[float, ...]
    stages: Mapping[WindowStage, float]


class Metrics:
    """Counters, histograms and gauges of one server in a registry of their own.

    Methods record events. The public gauges are set by `/metrics` before `text` is called.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._create_session_metrics()
        self._create_device_metrics()
        self._create_gauges()

    def _create_session_metrics(self) -> None:
        self._sessions_started = self._counter("sessions_started", "Sessions that started.")
        self._sessions_ended = self._counter("sessions_ended", "Sessions that ended, by reason.", "reason")
        for reason in _END_REASONS:
            self._sessions_ended.labels(reason)
        self._refusals = self._counter(
            "refusals", "Sessions and requests that were refused, by reason.", "kind", "reason"
        )
        for kind, reason in _REFUSALS:
            self._refusals.labels(kind, reason)
        self._first_frame_latency = self._histogram(
            "first_frame_latency_seconds",
            "Time from the first byte of an utterance to the media with its first frame.",
            _LATENCY_BUCKETS,
        )
        self._lateness = self._histogram(
            "fragment_lateness_seconds",
            "Time by which a fragment was sent after it was due.",
            _LATENESS_BUCKETS,
        )
        frames = self._counter(
            "frames",
            "Frames that were sent: speech, idle, or the last frame again because the next one was not ready (repeated) or"
            " the client's audio came too late (underrun).",
            "kind",
        )
        self._frames = {kind: frames.labels(kind) for kind in _FRAME_KINDS}
        self._skipped = self._counter(
            "clock_skipped_seconds",
            "Seconds by which the media clocks of sessions were set back because the server could not keep up.",
        )
        self._webhooks = self._counter("webhooks", "Attempts to deliver a webhook, by outcome.", "outcome")
        for outcome in _WEBHOOK_OUTCOMES:
            self._webhooks.labels(outcome)

    def _create_device_metrics(self) -> None:
        self._windows = self._counter(
            "windows",
            "Windows that were generated, by preset and by the number of windows in their batch.",
            "kind",
            "preset",
            "batch_size",
        )
        self._busy = self._counter("device_busy_seconds", "Seconds for which the device worked.", "kind")
        self._real_time_factor = self._histogram(
            "real_time_factor",
            "Duration of a batch divided by the duration of the media in each of its windows; above 1 is too slow.",
            _FACTOR_BUCKETS,
            "kind",
        )
        stages = self._histogram(
            "stage_duration_seconds",
            "Duration of each stage of a session's window (queueing, audio_encoding, denoising, decoding) or fragment"
            " (encoding, sending).",
            _STAGE_BUCKETS,
            "stage",
        )
        self._stages = {stage: stages.labels(stage) for stage in _STAGES}
        self._restarts = self._counter("engine_restarts", "Restarts of the engine.")
        self._restarts_recorded = 0

    def _create_gauges(self) -> None:
        self.sessions = self._gauge("sessions", "Active sessions.")
        self.sessions_limit = self._gauge("sessions_limit", "Session limit.")
        self.ready = self._gauge("ready", "1 while another session would be accepted.")
        self.alive = self._gauge("alive", "1 while the device loop is alive.")
        self.draining = self._gauge("draining", "1 while the server waits for its sessions to end.")
        self.buffered_audio = self._gauge(
            "buffered_audio_seconds", "Audio of all sessions that was received and not yet sent as media."
        )
        self.queued_windows = self._gauge("queued_windows", "Windows that wait for the device.")
        self.window_running = self._gauge(
            "window_running_seconds",
            "Time for which the current batch has been running; 0 when there is none.",
        )
        self.clips = self._gauge("clips", "Clips by state.", "state")
        self.asyncio_tasks = self._gauge("asyncio_tasks", "Tasks of the event loop.")
        self.threads = self._gauge("threads", "Threads of the server's process.")
        self.device_memory = self._gauge("device_memory_bytes", "Device memory that the engine uses.")
        self.device_memory_limit = self._gauge("device_memory_limit_bytes", "Device memory in total.")
        self.build = self._gauge(
            "build_info", "Constant 1; labels name what runs.", "version", "model", "device"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"lipstream_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"lipstream_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"lipstream_{name}", text, labels, registry=self.registry)

    def record_session_start(self) -> None:
        """Count a session that started."""
        self._sessions_started.inc()

    def record_session_end(self, reason: str) -> None:
        """Count a session that ended."""
        self._sessions_ended.labels(reason).inc()

    def record_refusal(self, kind: Literal["session", "request"], reason: str) -> None:
        """Count a session or request that was refused."""
        self._refusals.labels(kind, reason).inc()

    def record_batch(self, batch: BatchMeasurement) -> None:
        """Record a generated batch; stages only of sessions, whose latency matters."""
        size = len(batch.queueing)
        self._windows.labels(batch.kind, batch.preset, str(size)).inc(size)
        self._busy.labels(batch.kind).inc(batch.busy_seconds)
        self._real_time_factor.labels(batch.kind).observe(batch.busy_seconds / batch.media_seconds)
        if batch.kind == "clip":
            return
        for seconds in batch.queueing:
            self._stages["queueing"].observe(seconds)
        for stage, seconds in batch.stages.items():
            self._stages[stage].observe(seconds)

    def record_prefetch(self, seconds: float) -> None:
        """Add device time that was spent on motion features between windows of sessions."""
        self._busy.labels("session").inc(seconds)

    def record_fragment(self, encoding: float, sending: float, lateness: float) -> None:
        """Record a fragment of a session that was sent; durations in seconds."""
        self._stages["encoding"].observe(encoding)
        self._stages["sending"].observe(sending)
        self._lateness.observe(lateness)

    def record_frames(self, frames: Mapping[FrameKind, int], skipped_seconds: float) -> None:
        """Add frames that were sent, and time by which a clock was set back, since the last call."""
        for kind, count in frames.items():
            if count:
                self._frames[kind].inc(count)
        if skipped_seconds:
            self._skipped.inc(skipped_seconds)

    def record_first_frame_latency(self, seconds: float) -> None:
        """Record the first-frame latency of an utterance."""
        self._first_frame_latency.observe(seconds)

    def record_webhook(self, outcome: str) -> None:
        """Count a delivery attempt: delivered, failed (it is tried again) or given_up."""
        self._webhooks.labels(outcome).inc()

    def update_engine_restarts(self, total: int) -> None:
        """Set the number of restarts since the server's start."""
        self._restarts.inc(total - self._restarts_recorded)
        self._restarts_recorded = total

    def names(self) -> Iterable[str]:
        """Yield metric names as they are scraped, without the suffixes of histograms."""
        for family in self.registry.collect():
            yield f"{family.name}_total" if family.type == "counter" else family.name

    def text(self) -> bytes:
        """Return all metrics in the exposition format. Thread-safe."""
        return generate_latest(self.registry)
