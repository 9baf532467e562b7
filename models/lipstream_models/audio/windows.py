"""Clip windows of audio features, cut as the features come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .encoder import AudioStream

Rows = NDArray[np.float32]
CONTEXT = 2


def windowed(stream: AudioStream, blocks: Iterable[Rows], frames: int) -> Iterator[Rows]:
    """Windows (frames, 5, blocks, channels): each frame with two neighbours on either side, across window borders.

    Only at the very beginning and end are there no neighbours: the first and last row stand in. The last window is filled up
    with repetitions of the last row; whoever counts samples knows how many of its frames count.
    """
    rows: Rows | None = None  # two rows of the window before, then what has not been given out
    for fresh in _all_rows(stream, blocks):
        if not len(fresh):
            continue
        rows = np.concatenate([np.repeat(fresh[:1], CONTEXT, 0) if rows is None else rows, fresh])
        while len(rows) >= frames + 2 * CONTEXT:
            yield _with_neighbours(rows, frames)
            rows = rows[frames:]
    if rows is None:
        return
    missing = len(rows) - CONTEXT
    while missing > 0:
        filled = np.concatenate([rows, np.repeat(rows[-1:], max(0, frames + 2 * CONTEXT - len(rows)), 0)])
        yield _with_neighbours(filled, frames)
        rows, missing = filled[frames:], missing - frames


def _all_rows(stream: AudioStream, blocks: Iterable[Rows]) -> Iterator[Rows]:
    for block in blocks:
        yield stream.push(block)
    yield stream.flush()


def _with_neighbours(rows: Rows, frames: int) -> Rows:
    index = np.arange(frames)[:, None] + np.arange(2 * CONTEXT + 1)
    windows: Rows = rows[index]
    return windows
