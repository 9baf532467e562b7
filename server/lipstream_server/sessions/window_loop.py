"""Loop of a session that generates its windows when they are due."""

from __future__ import annotations

import asyncio
import time

from ..engines.base import EngineGoneError, EngineLostError
from ..scheduling.batches import WindowJob
from ..scheduling.scheduler import Scheduler
from .conversation import Conversation
from .session_telemetry import SessionTelemetry


class WindowLoop:
    """Generates the windows of one conversation, one at a time.

    Args:
        conversation: Source of jobs and receiver of results.
        scheduler: Generates windows.
        preset: Sampling plan.
        max_attempts: Consecutive windows at which the engine may be lost before the session fails.
        telemetry: Records results.
    """

    def __init__(
        self,
        conversation: Conversation,
        scheduler: Scheduler,
        preset: str,
        max_attempts: int,
        telemetry: SessionTelemetry,
    ) -> None:
        self._conversation, self._scheduler, self._preset = conversation, scheduler, preset
        self._max_attempts, self._telemetry = max_attempts, telemetry
        self._pending: asyncio.Future[object] | None = None
        self._lost = 0  # consecutive windows at which the engine was lost

    async def run(self, changed: asyncio.Event) -> None:
        """Generate windows whenever `changed` is set. Raises what the engine raises."""
        while True:
            await changed.wait()
            changed.clear()
            while (job := self._conversation.next_job(time.monotonic())) is not None:
                await self._generate(job)

    def cancel(self) -> None:
        """Cancel the pending window."""
        if self._pending is not None:
            self._pending.cancel()

    async def _generate(self, job: WindowJob) -> None:
        # A first loss may be another session's fault, and sessions stay in a common batch. After the second one, each
        # window runs alone, so that only the session whose window crashes the engine fails.
        window = self._scheduler.generate(job, self._preset, solo=self._lost > 1)
        self._pending = window  # type: ignore[assignment]  # only to be cancelled
        await asyncio.wait([window])
        self._pending = None
        if window.cancelled():
            return
        try:
            result = window.result()
        except EngineGoneError:
            raise
        except EngineLostError:
            self._lost += 1
            if self._lost >= self._max_attempts:
                raise
            self._conversation.cancel_job(job)
            return
        self._lost = 0
        now = time.monotonic()
        self._conversation.add_result(job, result, now)
        self._telemetry.record_window(job, result, now)
