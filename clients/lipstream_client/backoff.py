"""Delays between attempts to connect.

Written out instead of taken from stamina or tenacity: the delays are values that an asyncio loop and the server's own
Retry-After combine, and a client needs no more than this.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter; a busy server's Retry-After counts where it is longer.

    Attributes:
        attempts: number of attempts in all; 1 means no retry.
        first: first delay in seconds.
        maximum: longest delay in seconds.
    """

    attempts: int = 5
    first: float = 0.25
    maximum: float = 8.0

    def delays(self) -> Iterator[float]:
        """Yield the delay in seconds before each further attempt, varied so that many clients do not return as one."""
        delay = self.first
        for _ in range(self.attempts - 1):
            yield delay * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
            delay = min(self.maximum, 2 * delay)
