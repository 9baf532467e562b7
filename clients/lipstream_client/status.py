"""A status line on a terminal while a stream runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from .figures import Figures

_INTERVAL_SECONDS = 0.25
_ERASE_TO_END = "\x1b[K"


@contextmanager
def status_line(
    stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Figures], None]]:
    """Yield a function to call with changed figures; it writes at most four times a second, and to a terminal only.

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
        if clock() - last >= _INTERVAL_SECONDS:
            last, shown = clock(), True
            print(f"\r{figures.line()}{_ERASE_TO_END}", end="", file=stream, flush=True)

    try:
        yield show
    finally:
        if shown:
            print(file=stream)
