"""Encoding of audio in short windows on an absolute grid, so that streamed features equal offline ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import LipstreamError
from .samples import SAMPLES_PER_FRAME, FeatureRows, Samples


@dataclass(frozen=True)
class SlidingState:
    """State of a stream between two calls, as a value.

    Attributes:
        tail: (n,) samples from absolute index `start` on, which later windows need.
        start: Negative while the silence before the recording is in the tail.
        hops: Windows encoded.
        rows: FeatureRows returned.
        ended: Whether the stream has been flushed.
    """

    tail: Samples
    start: int
    hops: int = 0
    rows: int = 0
    ended: bool = False


@dataclass(frozen=True)
class WindowGrid:
    """The grid of windows that defines the features, however the audio is cut into chunks.

    Hop k covers the frames hop*k - offset ... hop*(k+1) - offset - 1. Their features come from one window:
    `left` frames before the hop, the hop, `right` frames after it, and `before` and `after` samples around
    them. With offset = 2, hops end where a window of a multiple of `hop` frames and its two frames of context
    end, so that a window never waits for the rest of a hop. Silence surrounds the recording.

    Attributes:
        hop: Frames of a hop.
        offset: Frames by which the grid starts before the recording.
        left: Frames before the hop.
        right: Frames after the hop.
        before: Samples before the first frame.
        after: Samples after the last frame.
        batch: Most windows encoded at once.
    """

    hop: int = 4
    offset: int = 2
    left: int = 24
    right: int = 2
    before: int = 0
    after: int = 0
    batch: int = 32

    def __post_init__(self) -> None:
        if self.hop < 1 or not 0 <= self.offset < self.hop or min(self.left, self.right, self.batch - 1) < 0:
            raise LipstreamError(f"expected hop > offset >= 0, left, right >= 0 and batch > 0, got {self}")

    @property
    def window(self) -> int:
        """Frames of a window."""
        return self.left + self.hop + self.right

    @property
    def window_samples(self) -> int:
        """Samples of a window."""
        return self.before + self.window * SAMPLES_PER_FRAME + self.after

    @property
    def lookahead(self) -> int:
        """Samples after the end of a hop that its features need."""
        return self.right * SAMPLES_PER_FRAME + self.after

    def first_sample(self, hop: int) -> int:
        """Return the absolute index of the first sample of a window."""
        return (self.hop * hop - self.offset - self.left) * SAMPLES_PER_FRAME - self.before

    def samples_for(self, rows: int) -> int:
        """Return the samples that a recording must have for its first `rows` rows to be returned before it ends."""
        hops = -(-(rows + self.offset) // self.hop)
        return (hops * self.hop - self.offset) * SAMPLES_PER_FRAME + self.lookahead

    def initial_state(self) -> SlidingState:
        """Return the state of a stream without audio."""
        start = self.first_sample(0)
        return SlidingState(np.zeros(-start, np.float32), start)


EncodeWindows = Callable[[Samples], FeatureRows]
"""(B, window samples) -> (B, hop, ...) rows of the hops in the windows."""


@dataclass(frozen=True)
class SlidingEncoder:
    """A grid, and the network that encodes its windows.

    Attributes:
        grid: The grid.
        encode: Encodes a batch of windows.
        row_shape: Shape of a row of features.
    """

    grid: WindowGrid
    encode: EncodeWindows
    row_shape: tuple[int, ...]

    def advance(self, state: SlidingState, samples: Samples) -> tuple[SlidingState, FeatureRows]:
        """Add (n,) samples; return the new state and the rows (m, *row_shape) that they complete, m >= 0."""
        if state.ended:
            raise LipstreamError("the stream has been flushed; open a new one for more audio")
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise LipstreamError(f"expected mono samples of shape (n,), got {samples.shape}")
        return self._encode_due(replace(state, tail=np.concatenate([state.tail, samples])), None)

    def flush(self, state: SlidingState) -> tuple[SlidingState, FeatureRows]:
        """End the stream with silence; return the last rows, up to ceil(samples / 640) in all."""
        if state.ended:
            raise LipstreamError("the stream has been flushed already")
        frames = -(-(state.start + len(state.tail)) // SAMPLES_PER_FRAME)
        silence = np.zeros(self.grid.window_samples, np.float32)
        state, rows = self._encode_due(replace(state, tail=np.concatenate([state.tail, silence])), frames)
        return replace(state, tail=state.tail[:0], ended=True), rows

    def offline(self, audio: Samples) -> FeatureRows:
        """Encode a whole recording: (N,) samples -> (ceil(N / 640), *row_shape)."""
        state, rows = self.advance(self.grid.initial_state(), audio)
        _, rest = self.flush(state)
        return np.concatenate([rows, rest])

    def stream(self) -> SlidingStream:
        """Return a stream for one recording."""
        return SlidingStream(self)

    def _encode_due(self, state: SlidingState, frames: int | None) -> tuple[SlidingState, FeatureRows]:
        """Encode every window whose audio is complete; `frames` cuts the rows at the end of a recording."""
        grid = self.grid
        complete = (state.start + len(state.tail) - grid.lookahead) // SAMPLES_PER_FRAME
        if frames is not None:
            complete = min(complete, frames + grid.hop - 1)
        hops = max((complete + grid.offset) // grid.hop, state.hops)
        rows = [np.zeros((0, *self.row_shape), np.float32)]
        for first in range(state.hops, hops, grid.batch):
            encoded = self.encode(self._windows(state, first, min(first + grid.batch, hops)))
            rows.append(encoded.reshape(-1, *self.row_shape))
        encoded_rows = np.concatenate(rows)
        if state.hops == 0 < hops:
            encoded_rows = encoded_rows[grid.offset :]  # frames of hop 0 before the recording
        if frames is not None:
            encoded_rows = encoded_rows[: frames - state.rows]
        start = grid.first_sample(hops)
        tail = state.tail[start - state.start :].copy()
        return SlidingState(tail, start, hops, state.rows + len(encoded_rows)), encoded_rows

    def _windows(self, state: SlidingState, first: int, last: int) -> Samples:
        """Return a copy of the windows of hops `first` to `last`: (last - first, window samples)."""
        offset = self.grid.first_sample(first) - state.start
        views = np.lib.stride_tricks.sliding_window_view(state.tail[offset:], self.grid.window_samples)
        return views[:: self.grid.hop * SAMPLES_PER_FRAME][: last - first].copy()


class SlidingStream:
    """Features of one recording, computed as its audio arrives; `state` can be saved and restored."""

    def __init__(self, encoder: SlidingEncoder) -> None:
        self._encoder = encoder
        self.state = encoder.grid.initial_state()

    def push(self, samples: Samples) -> FeatureRows:
        """Add (n,) samples and return the rows (m, blocks, channels) that they complete."""
        self.state, rows = self._encoder.advance(self.state, samples)
        return rows

    def flush(self) -> FeatureRows:
        """End the recording and return its last rows, ceil(samples / 640) in all."""
        self.state, rows = self._encoder.flush(self.state)
        return rows
