"""How much sound an engine needs, asked of it once: the rule is periodic, so that a short table says all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_KNOWN = 128  # frames that are asked for
_LONGEST = 32  # frames of a period


@dataclass(frozen=True)
class LookaheadTable:
    """samples: that the first 0, 1, 2 ... frames of an utterance need. Every `period` frames more need `step` samples more."""

    samples: tuple[int, ...]
    period: int
    step: int

    @classmethod
    def of(cls, needed: Callable[[int], int]) -> LookaheadTable:
        """needed: `Engine.samples_needed`. Raises ValueError where it follows no such rule."""
        samples = tuple(needed(frames) for frames in range(_KNOWN))
        for period in range(1, _LONGEST + 1):
            steps = {after - before for before, after in zip(samples, samples[period:], strict=False)}
            if len(steps) == 1:
                return cls(samples, period, steps.pop())
        raise ValueError(
            f"expected an engine that needs equally more sound for every so many frames, at most {_LONGEST}"
        )

    def needed(self, frames: int) -> int:
        beyond = max(0, frames - len(self.samples) + 1)
        periods = -(-beyond // self.period)
        return self.samples[frames - periods * self.period] + periods * self.step
