"""Windows in the queue of the device, and the choice of those that are generated together."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..engines.base import WindowRequest, WindowResult

BACKGROUND = math.inf
"""Deadline of a background window: it is generated in a batch of its own, while no other window waits."""


@dataclass(frozen=True, eq=False)
class WindowJob:
    """WindowRequest for one window and its deadline; times are seconds of time.monotonic.

    Attributes:
        deadline: Time at which its first frame is due, or `BACKGROUND`.
        requested_at: Time of the request.
        utterance: Number of the utterance in its session, for telemetry.
    """

    request: WindowRequest
    deadline: float
    requested_at: float = field(default_factory=time.monotonic)
    utterance: int = 0

    @property
    def is_background(self) -> bool:
        """Whether no live session waits for it."""
        return self.deadline == BACKGROUND


@dataclass(frozen=True, eq=False)
class QueuedWindow:
    """Job that waits for the device.

    Attributes:
        preset: Sampling plan as metrics name it; empty for windows that are not counted.
        solo: Whether it must share no batch.
        result: Future of its result.
    """

    job: WindowJob
    preset: str = ""
    solo: bool = False
    result: asyncio.Future[WindowResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: Exception) -> None:
        """Set the error as the outcome, unless the window was cancelled."""
        if not self.result.done():
            self.result.set_exception(error)


def select_batch(queue: Sequence[QueuedWindow], max_size: int) -> list[QueuedWindow]:
    """Return the next batch: the window with the earliest deadline and the earliest of those that can share its batch.

    Background windows share no batch, because a larger batch would delay live windows for longer.
    """
    ordered = sorted(queue, key=lambda window: window.job.deadline)
    first = ordered[0]
    if first.job.is_background or first.solo:
        return [first]
    frames, batch_key = first.job.request.frames, first.job.request.stream.batch_key
    return [
        window
        for window in ordered
        if not window.job.is_background
        and not window.solo
        and window.job.request.frames == frames
        and window.job.request.stream.batch_key == batch_key
    ][:max_size]


class BatchSizeLimit:
    """Largest batch, which an out-of-memory error lowers for a while.

    Args:
        max_size: Largest batch without errors.
        cooldown_seconds: Time for which a lowered limit holds.
    """

    def __init__(self, max_size: int, cooldown_seconds: float) -> None:
        self._max_size, self._cooldown_seconds = max_size, cooldown_seconds
        self._lowered, self._lowered_until = max_size, 0.0

    def lower(self, size: int, now: float) -> None:
        """Lower the limit to `size` for the cooldown."""
        self._lowered, self._lowered_until = size, now + self._cooldown_seconds

    def current(self, now: float) -> int:
        """Return the limit that holds now."""
        return min(self._max_size, self._lowered) if now < self._lowered_until else self._max_size
