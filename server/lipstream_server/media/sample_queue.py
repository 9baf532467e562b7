"""Samples that wait, in the order in which they came."""

from collections import deque

import numpy as np

from .arrays import (
    Samples,
)


class SampleQueue:
    """total: how many were ever put in."""

    def __init__(self) -> None:
        self.total = 0
        self._pieces: deque[Samples] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, samples: Samples) -> None:
        if len(samples):
            self._pieces.append(samples)
            self._waiting += len(samples)
            self.total += len(samples)

    def take(self, count: int) -> Samples:
        """The next `count` samples; fewer where there are no more."""
        taken: list[Samples] = [np.zeros(0, np.float32)]
        while count and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
            self._waiting -= len(piece)
        return np.concatenate(taken)

    def put_back(self, samples: Samples) -> None:
        """What was taken last, to be taken again."""
        if len(samples):
            self._pieces.appendleft(samples)
            self._waiting += len(samples)
