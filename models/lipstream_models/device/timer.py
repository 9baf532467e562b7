"""Stage timer: durations of the parts of a computation, in device time."""

from __future__ import annotations

import time

import torch


class StageTimer:
    """Records the ends of stages. On a GPU, which works asynchronously, it records events and does not wait for them."""

    def __init__(self, device: torch.device | str) -> None:
        self._cuda = torch.device(device).type == "cuda"
        self._names: list[str] = []
        self._marks = [self._now()]

    def mark(self, stage: str) -> None:
        """End a stage. It began where the stage before it ended."""
        self._names.append(stage)
        self._marks.append(self._now())

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage; stages of one name are added up. Waits for the device."""
        if self._cuda:
            torch.cuda.synchronize()
        total: dict[str, float] = {}
        for name, begin, end in zip(self._names, self._marks, self._marks[1:], strict=False):
            total[name] = total.get(name, 0.0) + _elapsed_seconds(begin, end)
        return total

    def _now(self) -> torch.cuda.Event | float:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _elapsed_seconds(begin: torch.cuda.Event | float, end: torch.cuda.Event | float) -> float:
    if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
        return float(begin.elapsed_time(end)) / 1000
    assert isinstance(begin, float)
    assert isinstance(end, float)
    return end - begin
