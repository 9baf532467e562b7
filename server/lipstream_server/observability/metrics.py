"""What Prometheus is told. Every application has a registry of its own; docker/README.md says what each metric is good for.

A measurement costs some microseconds and is taken once a window or once a fragment, never once a sample. What is a state and not
an event is read when it is asked for, in `probes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

Kind = Literal["session", "clip"]
_STAGES = ("wait", "hearing", "denoise", "decode", "encode", "send")
_FRAMES = ("spoken", "idle", "late", "starved")
# Prometheus counts a rise from 0 to 1 only if it has seen the 0: what alerts ask for is there before it happens.
_ENDINGS = ("ended", "gone", "slow_reader", "engine_lost", "internal", "shutdown")
_REFUSALS = (("session", "full"), ("request", "busy"))
_WEBHOOKS = ("delivered", "failed", "given_up")
_STAGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_DELAY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_LATENESS_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
_FACTOR_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 4.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class StageTimes(Protocol):
    """Seconds that the stages of a batch took."""

    @property
    def hearing(self) -> float: ...

    @property
    def denoising(self) -> float: ...

    @property
    def decoding(self) -> float: ...


@dataclass(frozen=True)
class BatchFigures:
    """A batch that was made. frames: of each window. seconds: that the device was busy. waits: until it was, one a window."""

    kind: Kind
    preset: str
    frames: int
    fps: int
    seconds: float
    waits: tuple[float, ...]
    work: StageTimes


class Metrics:
    """Counters and histograms are told of events; the gauges are set before `text` is asked for."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._make_events(registry)
        self._make_states(registry)

    def _make_events(self, registry: CollectorRegistry) -> None:
        self._started = Counter("lipstream_sessions_started", "Sessions that began.", registry=registry)
        self._ended = Counter(
            "lipstream_sessions_ended", "Sessions that ended, by reason.", ["reason"], registry=registry
        )
        self._refusals = Counter(
            "lipstream_refusals",
            "Sessions and requests that were refused, by reason.",
            ["kind", "reason"],
            registry=registry,
        )
        self._windows = Counter(
            "lipstream_windows",
            "Windows made, by preset and by how many windows shared the batch.",
            ["kind", "preset", "batch"],
            registry=registry,
        )
        self._busy = Counter(
            "lipstream_device_busy_seconds", "Seconds that the device worked.", ["kind"], registry=registry
        )
        self._factor = Histogram(
            "lipstream_real_time_factor",
            "Seconds that a batch took over the seconds of media that each of its windows holds; above 1 is too slow.",
            ["kind"],
            buckets=_FACTOR_BUCKETS,
            registry=registry,
        )
        stages = Histogram(
            "lipstream_stage_seconds",
            "Seconds that a window (wait, hearing, denoise, decode) or a fragment (encode, send) of a session took.",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in _STAGES}
        self._first = Histogram(
            "lipstream_first_picture_seconds",
            "From the first byte of an utterance to the media that shows it.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self._lateness = Histogram(
            "lipstream_fragment_lateness_seconds",
            "By how much a fragment was sent after its time.",
            buckets=_LATENESS_BUCKETS,
            registry=registry,
        )
        frames = Counter(
            "lipstream_frames",
            "Frames sent: spoken, idle, or the last one held because the model (late) or the audio (starved) was not there.",
            ["shown"],
            registry=registry,
        )
        self._frames = {shown: frames.labels(shown) for shown in _FRAMES}
        self._skipped = Counter(
            "lipstream_skipped_seconds",
            "Seconds by which clocks of sessions were set back because the server was behind.",
            registry=registry,
        )
        self._webhooks = Counter(
            "lipstream_webhooks", "Attempts to send a webhook, by outcome.", ["outcome"], registry=registry
        )
        for reason in _ENDINGS:
            self._ended.labels(reason)
        for kind, reason in _REFUSALS:
            self._refusals.labels(kind, reason)
        for outcome in _WEBHOOKS:
            self._webhooks.labels(outcome)
        self._restarts_counted = 0
        self._restarts = Counter(
            "lipstream_engine_restarts", "Times that the engine had to be started again.", registry=registry
        )

    def _make_states(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"lipstream_{name}", text, labels, registry=registry)

        self.sessions = gauge("sessions", "Sessions now.")
        self.sessions_limit = gauge("sessions_limit", "Sessions that may be at once.")
        self.ready = gauge("ready", "1 while another session would be taken.")
        self.alive = gauge("alive", "1 while the device loop is alive.")
        self.draining = gauge("draining", "1 while the server waits for its sessions to end.")
        self.queue = gauge("queue_seconds", "Audio of all sessions that came and has not been sent as media.")
        self.waiting = gauge("windows_waiting", "Windows that wait for the device.")
        self.in_work = gauge("window_in_work_seconds", "For how long the window in work has been in work.")
        self.clips = gauge("clips", "Clips by state.", "state")
        self.tasks = gauge("tasks", "asyncio tasks.")
        self.threads = gauge("threads", "Threads of the server.")
        self.memory = gauge("device_memory_bytes", "Memory of the device that the engine holds.")
        self.memory_limit = gauge("device_memory_limit_bytes", "Memory that the device has.")
        self.build = gauge("build_info", "1, with what runs.", "version", "model", "device")

    def session_began(self) -> None:
        self._started.inc()

    def session_ended(self, reason: str) -> None:
        self._ended.labels(reason).inc()

    def refused(self, kind: Literal["session", "request"], reason: str) -> None:
        self._refusals.labels(kind, reason).inc()

    def batch(self, made: BatchFigures) -> None:
        size = len(made.waits)
        self._windows.labels(made.kind, made.preset, str(size)).inc(size)
        self._busy.labels(made.kind).inc(made.seconds)
        self._factor.labels(made.kind).observe(made.seconds * made.fps / made.frames)
        if made.kind == "clip":
            return  # which nobody waits for
        for wait in made.waits:
            self._stages["wait"].observe(wait)
        work = made.work
        for stage, seconds in (
            ("hearing", work.hearing),
            ("denoise", work.denoising),
            ("decode", work.decoding),
        ):
            self._stages[stage].observe(seconds)

    def looked_back(self, seconds: float) -> None:
        self._busy.labels("session").inc(seconds)

    def fragment(self, encoding: float, sending: float, lateness: float) -> None:
        self._stages["encode"].observe(encoding)
        self._stages["send"].observe(sending)
        self._lateness.observe(lateness)

    def frames(self, shown: Mapping[str, int], skipped: float) -> None:
        """shown: how many more, by what they were."""
        for kind, count in shown.items():
            if count:
                self._frames[kind].inc(count)
        if skipped:
            self._skipped.inc(skipped)

    def first_picture(self, seconds: float) -> None:
        self._first.observe(seconds)

    def webhook(self, outcome: str) -> None:
        """An attempt: delivered, failed (there will be another one) or given_up."""
        self._webhooks.labels(outcome).inc()

    def engine_restarted(self, times: int) -> None:
        """times: until now."""
        self._restarts.inc(times - self._restarts_counted)
        self._restarts_counted = times

    def names(self) -> Iterable[str]:
        """As they are scraped, without the suffixes of histograms."""
        for family in self.registry.collect():
            yield f"{family.name}_total" if family.type == "counter" else family.name

    def text(self) -> bytes:
        """The exposition format. Any thread may ask."""
        return generate_latest(self.registry)
