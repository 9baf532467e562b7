"""Progress of a video: a bar on a terminal, a plain line every few seconds anywhere else."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as RichProgress

_SECONDS_BETWEEN_LINES = 5.0


class Pace:
    """Frames done of a total, the throughput since the start, and the time left at that throughput.

    clock: returns seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self._clock = clock
        self._start = clock()

    def advance(self, frames: int) -> None:
        self.done += frames

    @property
    def frames_per_second(self) -> float:
        """Mean throughput of the whole run; 0 before any time has passed."""
        elapsed = self._clock() - self._start
        return self.done / elapsed if elapsed > 0 else 0.0

    def __str__(self) -> str:
        speed = self.frames_per_second
        left = _minutes((self.total - self.done) / speed) if speed else "--:--"
        return f"{speed:.1f} frames/s, {left} left"


@contextmanager
def progress(
    label: str,
    total: int,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` frames are done; yields the function to call with the number of new frames.

    stream: output, stderr by default, so that what a command prints can be piped.
    """
    stream = stream or sys.stderr
    pace = Pace(total, clock)
    show = _bar if stream.isatty() else _lines
    with show(label, pace, stream, clock) as update:

        def advance(frames: int) -> None:
            pace.advance(frames)
            update()

        yield advance


@contextmanager
def _bar(label: str, pace: Pace, stream: TextIO, clock: Callable[[], float]) -> Iterator[Callable[[], None]]:
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    ]
    with RichProgress(*columns, console=Console(file=stream)) as bar:
        task: TaskID = bar.add_task(label, total=pace.total, pace="")
        yield lambda: bar.update(task, completed=pace.done, pace=str(pace))


@contextmanager
def _lines(
    label: str, pace: Pace, stream: TextIO, clock: Callable[[], float]
) -> Iterator[Callable[[], None]]:
    last = clock()

    def line() -> None:
        print(f"{label}: {pace.done}/{pace.total} frames, {pace}", file=stream, flush=True)

    def update() -> None:
        nonlocal last
        if clock() - last >= _SECONDS_BETWEEN_LINES:
            last = clock()
            line()

    try:
        yield update
    finally:
        line()


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes}:{rest:02}"
