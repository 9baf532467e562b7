"""What a stream does, in figures: while it runs, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from lipstream_server.protocol import Stats

from .fragments import FragmentReader, Lengths


@dataclass
class Figures:
    """Times are seconds since the first audio was about to be sent.

    first_frame: when the first picture that shows it came. sent: seconds of audio sent. stats: the server's own figures, the
    last that came. problems: what the server said was wrong.
    """

    sent: float = 0.0
    first_frame: float | None = None
    first_media: float | None = None
    last_media: float = 0.0
    stats: Stats | None = None
    problems: list[str] = field(default_factory=list)
    reader: FragmentReader = field(default_factory=FragmentReader, repr=False)

    def media(self, message: bytes, now: float, shows: bool) -> None:
        """A binary message has come. shows: whether it is after the first `utterance.started`."""
        self.reader.feed(message)
        if shows and self.first_frame is None:
            self.first_frame = now
        if self.first_media is None:
            self.first_media = now
        self.last_media = now

    @property
    def lengths(self) -> Lengths:
        return self.reader.lengths

    @property
    def frames_per_second(self) -> float:
        """Pictures by the client's clock, 0 before two messages have come."""
        clock = self.last_media - (self.first_media or 0.0)
        return self.lengths.frames / clock if clock > 0 else 0.0

    @property
    def repeated_frames(self) -> int:
        """Pictures that were not made in time, so that the one before was held."""
        return self.stats.repeated_frames if self.stats else 0

    def line(self) -> str:
        """How it goes, in a line for a terminal."""
        return f"{self.sent:6.1f} s sent, {self._delay()}, {self._pictures()}, {self._late()}"

    def report(self) -> str:
        """How it went: first-frame delay, frames, frames a second of the clock, skew, late frames, complaints."""
        first = "nothing was shown" if self.first_frame is None else self._delay()
        frames = f"{self.lengths.frames} frames"
        told = [first, frames, self._pictures(), self._late(), *self.problems[:1]]
        return ", ".join(told)

    def _delay(self) -> str:
        return (
            "first frame ..." if self.first_frame is None else f"first frame {self.first_frame * 1000:.0f} ms"
        )

    def _pictures(self) -> str:
        return f"{self.frames_per_second:.1f} a second, skew {self.lengths.skew * 1000:+.0f} ms"

    def _late(self) -> str:
        return f"{self.repeated_frames} late"
