"""Report of a soak test, and its verdict on growth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

_WARM_SHARE = 0.2  # of the rounds: pools and caches fill
_ALLOWED_GROWTH = {
    "threads": 6,
    "tasks": 2,
    "files": 3,
}  # thread pools fill when many are needed at once, and stay full
_ALLOWED_MB, _ALLOWED_SHARE = 15.0, 0.03


@dataclass(frozen=True)
class Sample:
    """Resources of an idle server.

    Attributes:
        seconds: Since the start of the soak.
        memory_mb: Resident memory.
        threads: Threads.
        tasks: asyncio tasks.
        files: Open files.
    """

    seconds: float
    memory_mb: float
    threads: int
    tasks: int
    files: int


@dataclass
class SoakReport:
    """Result of a soak.

    Attributes:
        samples: Resources after each round.
        sessions: Number of sessions by their end.
        clips: Finished clips.
    """

    samples: list[Sample] = field(default_factory=list)
    sessions: Counter[str] = field(default_factory=Counter)
    clips: int = 0

    def growth(self) -> list[str]:
        """Describe what has grown: the last third of the samples against the first, both after the warm-up."""
        samples = self.samples[round(len(self.samples) * _WARM_SHARE) :]
        third = max(1, len(samples) // 3)
        first, last = samples[:third], samples[-third:]
        grown = []
        for name, allowed in _ALLOWED_GROWTH.items():
            before, after = _median(first, name), _median(last, name)
            if after > before + allowed:
                grown.append(f"{name} {before:.0f} -> {after:.0f}")
        before, after = _median(first, "memory_mb"), _median(last, "memory_mb")
        if after > before + _ALLOWED_MB + _ALLOWED_SHARE * before:
            grown.append(f"memory {before:.0f} -> {after:.0f} MB")
        return grown

    def as_json(self) -> dict[str, object]:
        """Return JSON values, with the verdict."""
        # `asdict` does not support a Counter: it would make one of pairs.
        samples = [asdict(sample) for sample in self.samples]
        return {
            "growth": self.growth(),
            "samples": samples,
            "sessions": dict(self.sessions),
            "clips": self.clips,
        }

    def __str__(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.sessions.items()))
        resources = ", ".join(
            f"{name} {getattr(first, name):.0f} -> {getattr(last, name):.0f}"
            for name in ("memory_mb", *_ALLOWED_GROWTH)
        )
        verdict = "; ".join(self.growth())
        return f"{ways}, {self.clips} clips; {resources}: {'NOT FLAT: ' + verdict if verdict else 'flat'}"


def _median(samples: Sequence[Sample], name: str) -> float:
    return float(median(getattr(sample, name) for sample in samples))
