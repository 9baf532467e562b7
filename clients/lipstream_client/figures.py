"""Figures of a stream, while it runs and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from lipstream_server.protocol import Stats

from .fragments import FragmentReader, MediaLengths


@dataclass
class Figures:
    """Figures of one stream; times are seconds since the first audio was about to be sent.

    Attributes:
        sent: seconds of audio sent.
        first_frame: time at which the first frame of the utterance came.
        first_media: time of the first binary message.
        last_media: time of the last binary message.
        stats: the server's own figures, the last that came.
        problems: errors that the server reported.
        reader: lengths of the media received.
    """

    sent: float = 0.0
    first_frame: float | None = None
    first_media: float | None = None
    last_media: float = 0.0
    stats: Stats | None = None
    problems: list[str] = field(default_factory=list)
    reader: FragmentReader = field(default_factory=FragmentReader, repr=False)

    def add_media(self, message: bytes, now: float, in_utterance: bool) -> None:
        """Count a binary message. in_utterance: whether it came after the first `utterance.started`."""
        self.reader.feed(message)
        if in_utterance and self.first_frame is None:
            self.first_frame = now
        if self.first_media is None:
            self.first_media = now
        self.last_media = now

    @property
    def lengths(self) -> MediaLengths:
        """Lengths of the media received."""
        return self.reader.lengths

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the client's clock; 0 before two messages have come."""
        clock = self.last_media - (self.first_media or 0.0)
        return self.lengths.frames / clock if clock > 0 else 0.0

    @property
    def repeated_frames(self) -> int:
        """Frames that were not ready in time, so that the one before was sent again."""
        return self.stats.repeated_frames if self.stats else 0

    def line(self) -> str:
        """Return the figures so far, one line for a terminal."""
        return f"{self.sent:6.1f} s sent, {self._latency()}, {self._rate()}, {self._repeated()}"

    def report(self) -> str:
        """Return first-frame latency, frames, frame rate, skew, repeated frames, and the first error."""
        first = "nothing was shown" if self.first_frame is None else self._latency()
        parts = [first, f"{self.lengths.frames} frames", self._rate(), self._repeated(), *self.problems[:1]]
        return ", ".join(parts)

    def _latency(self) -> str:
        if self.first_frame is None:
            return "first frame ..."
        return f"first frame {self.first_frame * 1000:.0f} ms"

    def _rate(self) -> str:
        return f"{self.frames_per_second:.1f} fps, skew {self.lengths.skew * 1000:+.0f} ms"

    def _repeated(self) -> str:
        return f"{self.repeated_frames} repeated"
