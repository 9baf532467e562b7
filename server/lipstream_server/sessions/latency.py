"""First-frame latency of an utterance and its parts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..engines.base import StageTimings, WindowResult
from ..protocol import LatencyParts


@dataclass(frozen=True)
class FirstFrameLatency:
    """Durations in seconds that add up to the time from an utterance's first byte to the media with its first frame.

    Attributes:
        received_at: Time at which the first byte arrived, on the session's clock.
        buffering: Until there was enough audio for the first window.
        queueing: Until the device was free.
        work: Stages of the first window.
        startup_delay: Until the next windows were sure to be ready in time.
        encoding: Encoding of the media with the first frame.
        sending: Sending of the media with the first frame.
    """

    received_at: float
    buffering: float = 0.0
    queueing: float = 0.0
    work: StageTimings = field(default_factory=StageTimings)
    startup_delay: float = 0.0
    encoding: float = 0.0
    sending: float = 0.0

    @classmethod
    def of_first_window(
        cls, received_at: float, requested_at: float, result: WindowResult, now: float
    ) -> FirstFrameLatency:
        """Return the latency up to the result of the first window; time that no stage took counts as queueing."""
        work = result.timings
        queueing = max(0.0, now - requested_at - work.audio_encoding - work.denoising - work.decoding)
        return cls(received_at, requested_at - received_at, queueing, work)

    def with_playout(self, shown_at: float) -> FirstFrameLatency:
        """Return the latency with the startup delay of a first frame that is shown at `shown_at`."""
        return replace(self, startup_delay=max(0.0, shown_at - self.received_at - self.total))

    def with_sent(self, encoding: float, sending: float) -> FirstFrameLatency:
        """Return the latency with the durations of encoding and sending the first frame."""
        return replace(self, encoding=encoding, sending=sending)

    @property
    def total(self) -> float:
        """Sum of all parts in seconds."""
        return sum(self._parts.values())

    @property
    def total_ms(self) -> float:
        """Sum of all parts in milliseconds, as stats have it."""
        return round(1000 * self.total, 3)

    def to_message(self) -> LatencyParts:
        """Return the parts as stats have them."""
        return LatencyParts(
            **{f"{name}_ms": round(1000 * seconds, 3) for name, seconds in self._parts.items()}
        )

    @property
    def _parts(self) -> dict[str, float]:
        return {
            "buffering": self.buffering,
            "queueing": self.queueing,
            "audio_encoding": self.work.audio_encoding,
            "denoising": self.work.denoising,
            "decoding": self.work.decoding,
            "startup_delay": self.startup_delay,
            "encoding": self.encoding,
            "sending": self.sending,
        }
