"""What the delay of an utterance is made of: from the first byte of its audio to the first media that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..engines.base import StageTimings, WindowResult
from ..protocol import DelayParts


@dataclass(frozen=True)
class Delay:
    """Seconds, one after the other; begin: when the first byte came, on the session's clock.

    gathering: until there was audio enough for the first window. queueing: for the device. work: of the window. holding: until
    its turn came and those after it could come in time. encoding, sending: of the media that shows its first frame.
    """

    begin: float
    gathering: float = 0.0
    queueing: float = 0.0
    work: StageTimings = field(default_factory=StageTimings)
    holding: float = 0.0
    encoding: float = 0.0
    sending: float = 0.0

    @classmethod
    def of_window(cls, begin: float, asked: float, made: WindowResult, now: float) -> Delay:
        """Of the first window, which is there now. What passed and was not work was waiting for the device, or for its thread."""
        work = made.timings
        waiting = max(0.0, now - asked - work.audio_encoding - work.denoising - work.decoding)
        return cls(begin, asked - begin, waiting, work)

    def held_until(self, shown: float) -> Delay:
        """The first frame is taken out to be encoded."""
        return replace(self, holding=max(0.0, shown - self.begin - self.total))

    def sent(self, encoding: float, sending: float) -> Delay:
        return replace(self, encoding=encoding, sending=sending)

    @property
    def total(self) -> float:
        return sum(self._seconds.values())

    def parts(self) -> DelayParts:
        return DelayParts(**{f"{name}_ms": round(1000 * part, 3) for name, part in self._seconds.items()})

    @property
    def _seconds(self) -> dict[str, float]:
        whole = {
            name: getattr(self, name) for name in ("gathering", "queueing", "holding", "encoding", "sending")
        }
        work = self.work
        return {
            **whole,
            "hearing": work.audio_encoding,
            "denoising": work.denoising,
            "decoding": work.decoding,
        }
