"""Windows of audio features for the denoiser, cut while the features arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .encoder import AudioStream
from .samples import FeatureRows, Samples

CONTEXT = 2
"""Neighbours of a frame on either side."""


def context_windows(features: FeatureRows, radius: int = CONTEXT) -> FeatureRows:
    """Add each frame's neighbours, the edges repeated: (T, ...) -> (T, 2 radius + 1, ...)."""
    index = np.arange(len(features))[:, None] + np.arange(-radius, radius + 1)[None]
    windows: FeatureRows = features[index.clip(0, len(features) - 1)]
    return windows


def iter_windows(stream: AudioStream, blocks: Iterable[Samples], frames: int) -> Iterator[FeatureRows]:
    """Encode a recording and yield its windows: each frame with two neighbours on either side.

    Neighbours cross window borders; at the beginning and end of the recording the first and last row are
    repeated. The last window is filled up with repetitions of the last row; the caller counts the samples and
    knows how many of its frames are of the recording.

    Args:
        stream: Encodes the audio.
        blocks: (n,) samples of the recording.
        frames: Frames of a window.

    Yields:
        (frames, 5, blocks, channels).
    """
    rows: FeatureRows | None = None  # two rows of the previous window, then those not yet yielded
    for fresh in _encode(stream, blocks):
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


def _encode(stream: AudioStream, blocks: Iterable[Samples]) -> Iterator[FeatureRows]:
    for block in blocks:
        yield stream.push(block)
    yield stream.flush()


def _with_neighbours(rows: FeatureRows, frames: int) -> FeatureRows:
    """Return (frames, 5, ...) of the first rows (frames + 4, ...)."""
    index = np.arange(frames)[:, None] + np.arange(2 * CONTEXT + 1)
    windows: FeatureRows = rows[index]
    return windows
