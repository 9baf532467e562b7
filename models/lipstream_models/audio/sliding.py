"""Short audio windows on an absolute grid: what makes streamed features the same as a whole file's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError

SAMPLE_RATE = 16_000
FPS = 25
FRAME = SAMPLE_RATE // FPS  # samples per video frame

Samples = NDArray[np.float32]
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class SlidingState:
    """What a stream remembers: the audio that later windows still need, and where it stands."""

    tail: Samples  # the samples from absolute index `start` on
    start: int  # negative while the silence before the recording is in the tail
    hops: int = 0  # windows encoded
    rows: int = 0  # frames given out
    ended: bool = False


@dataclass(frozen=True)
class WindowGrid:
    """The grid of windows that defines features, wherever the audio was cut into chunks.

    Hop k covers the frames hop*k - offset ... hop*(k+1) - offset - 1. Their features come from one window:
    `left` frames before the hop, the hop, `right` frames after it, and `before`/`after` samples around all
    that. With offset = 2, hops end where a clip of a multiple of `hop` frames and its two frames of context
    end, so that a clip never waits for the rest of a hop. Silence surrounds the recording.
    `batch`: most windows encoded at once.
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
        return self.before + self.window * FRAME + self.after

    @property
    def look_ahead(self) -> int:
        """Samples past the end of a hop that its features need."""
        return self.right * FRAME + self.after

    def first_sample(self, hop: int) -> int:
        """Absolute index of the first sample of a window."""
        return (self.hop * hop - self.offset - self.left) * FRAME - self.before

    def samples_for(self, rows: int) -> int:
        """How many samples a recording must have for its first `rows` rows to come out before it ends."""
        hops = -(-(rows + self.offset) // self.hop)
        return (hops * self.hop - self.offset) * FRAME + self.look_ahead

    def begin(self) -> SlidingState:
        start = self.first_sample(0)
        return SlidingState(np.zeros(-start, np.float32), start)


Encode = Callable[[Samples], Rows]
"""(B, window samples) -> (B, hop, ...) rows of the hops in the windows."""


@dataclass(frozen=True)
class Slider:
    """A grid and the network that turns its windows into rows."""

    grid: WindowGrid
    encode: Encode
    row_shape: tuple[int, ...]

    def advance(self, state: SlidingState, samples: Samples) -> tuple[SlidingState, Rows]:
        """(n,) more samples -> the new state and the rows (m, *row_shape) that they complete, m >= 0."""
        if state.ended:
            raise LipstreamError("the stream has been flushed; open a new one for more audio")
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise LipstreamError(f"expected mono samples of shape (n,), got {samples.shape}")
        return self._encode_due(replace(state, tail=np.concatenate([state.tail, samples])), None)

    def finish(self, state: SlidingState) -> tuple[SlidingState, Rows]:
        """Ends the stream: silence follows, and the rows up to ceil(samples / 640) come out."""
        if state.ended:
            raise LipstreamError("the stream has been flushed already")
        frames = -(-(state.start + len(state.tail)) // FRAME)
        silence = np.zeros(self.grid.window_samples, np.float32)
        state, rows = self._encode_due(replace(state, tail=np.concatenate([state.tail, silence])), frames)
        return replace(state, tail=state.tail[:0], ended=True), rows

    def offline(self, audio: Samples) -> Rows:
        """(N,) samples -> (ceil(N / 640), *row_shape)."""
        state, rows = self.advance(self.grid.begin(), audio)
        _, rest = self.finish(state)
        return np.concatenate([rows, rest])

    def stream(self) -> SlidingStream:
        return SlidingStream(self)

    def _encode_due(self, state: SlidingState, frames: int | None) -> tuple[SlidingState, Rows]:
        """Encodes every window whose audio is there; `frames` cuts the rows at the end of a recording."""
        grid = self.grid
        heard = (state.start + len(state.tail) - grid.look_ahead) // FRAME  # whole frames that can be had
        if frames is not None:
            heard = min(heard, frames + grid.hop - 1)
        hops = max((heard + grid.offset) // grid.hop, state.hops)
        rows = [np.zeros((0, *self.row_shape), np.float32)]
        for first in range(state.hops, hops, grid.batch):
            encoded = self.encode(self._windows(state, first, min(first + grid.batch, hops)))
            rows.append(encoded.reshape(-1, *self.row_shape))
        done = np.concatenate(rows)
        if state.hops == 0 < hops:
            done = done[grid.offset :]  # the frames of hop 0 that lie before the recording
        if frames is not None:
            done = done[: frames - state.rows]
        start = grid.first_sample(hops)
        tail = state.tail[start - state.start :].copy()
        return SlidingState(tail, start, hops, state.rows + len(done)), done

    def _windows(self, state: SlidingState, first: int, last: int) -> Samples:
        """(last - first, window samples), a copy."""
        begin = self.grid.first_sample(first) - state.start
        views = np.lib.stride_tricks.sliding_window_view(state.tail[begin:], self.grid.window_samples)
        return views[:: self.grid.hop * FRAME][: last - first].copy()


class SlidingStream:
    """One recording as it comes: `push` audio, `flush` at its end. `state` can be kept and put back."""

    def __init__(self, slider: Slider) -> None:
        self._slider = slider
        self.state = slider.grid.begin()

    def push(self, samples: Samples) -> Rows:
        """(n,) samples -> the rows (m, blocks, channels) that they complete."""
        self.state, rows = self._slider.advance(self.state, samples)
        return rows

    def flush(self) -> Rows:
        """The last rows; with them the stream has given ceil(samples / 640)."""
        self.state, rows = self._slider.finish(self.state)
        return rows
