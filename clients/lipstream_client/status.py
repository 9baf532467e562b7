"""A line on a terminal that tells how a stream goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from .figures import Figures

_SECONDS_BETWEEN = 0.25
_TO_THE_END = "\x1b[K"


@contextmanager
def status(
    stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Figures], None]]:
    """Yields what is to be called whenever the figures change; it writes four times a second at most, and to a terminal only.

    stream: stderr by default, so that what a command prints can be piped.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield lambda figures: None
        return
    last = float("-inf")
    shown = False

    def show(figures: Figures) -> None:
        nonlocal last, shown
        if clock() - last >= _SECONDS_BETWEEN:
            last, shown = clock(), True
            print(f"\r{figures.line()}{_TO_THE_END}", end="", file=stream, flush=True)

    try:
        yield show
    finally:
        if shown:
            print(file=stream)
