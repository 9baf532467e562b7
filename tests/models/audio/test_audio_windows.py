"""Windows cut while audio comes in equal windows cut from the whole."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lipstream_models.audio.features import context_windows
from lipstream_models.audio.windows import Rows, windowed


class Rate:
    """Turns every two samples into one row that holds them."""

    def __init__(self) -> None:
        self.held = np.zeros(0, np.float32)

    def push(self, samples: Rows) -> Rows:
        held = np.concatenate([self.held, samples])
        whole = len(held) // 2 * 2
        self.held = held[whole:]
        return held[:whole].reshape(-1, 1, 2)

    def flush(self) -> Rows:
        return self.push(np.zeros(len(self.held) % 2, np.float32))


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 6))
def test_streamed_windows_equal_those_of_the_whole(sizes: list[int], frames: int) -> None:
    samples = np.arange(sum(sizes), dtype=np.float32)
    blocks = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else []
    got = list(windowed(Rate(), blocks, frames))
    if not len(samples):
        assert got == []
        return
    whole = Rate()
    rows = np.concatenate([whole.push(samples), whole.flush()])
    expected = context_windows(rows)
    assert len(got) == -(-len(rows) // frames)
    assert all(window.shape == (frames, 5, 1, 2) for window in got)
    joined = np.concatenate(got)[: len(rows)]
    assert np.array_equal(joined, expected)
