"""A first-in, first-out buffer of audio samples."""

from collections import deque

import numpy as np

from .arrays import Samples


class SampleQueue:
    """Samples that wait.

    Attributes:
        total: Number of samples that were ever put in.
    """

    def __init__(self) -> None:
        self.total = 0
        self._pieces: deque[Samples] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, samples: Samples) -> None:
        """Append samples (n,)."""
        if len(samples):
            self._pieces.append(samples)
            self._length += len(samples)
            self.total += len(samples)

    def take(self, count: int) -> Samples:
        """Remove and return the next `count` samples (n,), or as many as there are."""
        taken: list[Samples] = [np.zeros(0, np.float32)]
        while count and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
            self._length -= len(piece)
        return np.concatenate(taken)

    def put_back(self, samples: Samples) -> None:
        """Put samples (n,) that were taken last back to the front."""
        if len(samples):
            self._pieces.appendleft(samples)
            self._length += len(samples)
