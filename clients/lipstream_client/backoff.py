"""When a connection is tried again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """How often, and after how many seconds, a connection is tried again; each wait is up to twice the one before.

    A server that is busy is asked again when it said, if that is later. attempts: in all, 1 for no second try.
    """

    attempts: int = 5
    first: float = 0.25
    most: float = 8.0

    def waits(self) -> Iterator[float]:
        """Seconds before each further attempt, shaken so that many clients do not come back as one."""
        wait = self.first
        for _ in range(self.attempts - 1):
            yield wait * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
            wait = min(self.most, 2 * wait)
