"""How much audio an engine needs, tabulated: the rule is periodic, so that a short table answers for every length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_PROBED_FRAMES = 128
_MAX_PERIOD = 32  # frames


@dataclass(frozen=True)
class LookaheadTable:
    """Samples that the first frames of an utterance need.

    Attributes:
        samples: Samples needed by the first 0, 1, 2 ... frames.
        period: Frames after which the rule repeats.
        step: Additional samples for each period.
    """

    samples: tuple[int, ...]
    period: int
    step: int

    @classmethod
    def probe(cls, samples_needed: Callable[[int], int]) -> LookaheadTable:
        """Tabulate `Engine.samples_needed`.

        Raises:
            ValueError: The function is not periodic within 32 frames.
        """
        samples = tuple(samples_needed(frames) for frames in range(_PROBED_FRAMES))
        for period in range(1, _MAX_PERIOD + 1):
            steps = {after - before for before, after in zip(samples, samples[period:], strict=False)}
            if len(steps) == 1:
                return cls(samples, period, steps.pop())
        raise ValueError(
            f"expected an engine that needs equally more audio for every period of at most {_MAX_PERIOD} frames"
        )

    def samples_needed(self, frames: int) -> int:
        """Return how many samples the first `frames` frames need."""
        beyond = max(0, frames - len(self.samples) + 1)
        periods = -(-beyond // self.period)
        return self.samples[frames - periods * self.period] + periods * self.step
