"""Tests that windows cut while audio arrives equal those cut from the whole recording."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lipstream_models.audio.samples import FeatureRows
from lipstream_models.audio.windows import context_windows, iter_windows


class PairStream:
    """A stream that returns each two samples as one row."""

    def __init__(self) -> None:
        self.pending = np.zeros(0, np.float32)

    def push(self, samples: FeatureRows) -> FeatureRows:
        samples = np.concatenate([self.pending, samples])
        whole = len(samples) // 2 * 2
        self.pending = samples[whole:]
        return samples[:whole].reshape(-1, 1, 2)

    def flush(self) -> FeatureRows:
        return self.push(np.zeros(len(self.pending) % 2, np.float32))


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 6))
def test_streamed_windows_equal_those_of_the_whole(sizes: list[int], frames: int) -> None:
    samples = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    windows = list(iter_windows(PairStream(), blocks, frames))
    if not len(samples):
        assert windows == []
        return
    whole = PairStream()
    rows = np.concatenate([whole.push(samples), whole.flush()])
    expected = context_windows(rows)
    assert len(windows) == -(-len(rows) // frames)
    assert all(window.shape == (frames, 5, 1, 2) for window in windows)
    joined = np.concatenate(windows)[: len(rows)]
    assert np.array_equal(joined, expected)
