"""Scheduler of the device: batches windows of several sessions, earliest deadline first, in one device thread."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from ..engines.base import (
    EngineGoneError,
    EngineLostError,
    OutOfMemoryError,
    WindowResult,
)
from ..engines.interface import SupervisedEngine
from ..observability.metrics import BatchMeasurement, Metrics
from .background_admission import BackgroundAdmission
from .batches import (
    BatchSizeLimit,
    QueuedWindow,
    WindowJob,
    select_batch,
)
from .window_costs import WindowCosts

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningBatch:
    """Batch that the device generates: frames of each window, and its start in seconds of time.monotonic."""

    frames: int
    started_at: float


def create_device_thread() -> ThreadPoolExecutor:
    """Return the one thread that may use the device, loading included.

    Each thread that computes keeps an OpenMP pool of its own; with more pool threads than cores, windows take twice as long.
    """
    return ThreadPoolExecutor(1, "device")


class Scheduler:
    """Owner of the device; an async context manager.

    Cancelling the future of a window takes it out of the queue; a batch that runs is always finished.

    Args:
        engine: SupervisedEngine that generates the windows.
        max_batch: Largest batch.
        device: Thread for all device work, by default a new one; shut down at the end.
        metrics: Where batches are recorded.
        oom_batch_cooldown_seconds: Time for which batches stay small after the device ran out of memory.
    """

    def __init__(
        self,
        engine: SupervisedEngine,
        max_batch: int = 8,
        device: ThreadPoolExecutor | None = None,
        metrics: Metrics | None = None,
        oom_batch_cooldown_seconds: float = 60.0,
    ) -> None:
        self.engine = engine
        self.costs = WindowCosts()
        self.running_batch: RunningBatch | None = None
        self._metrics = metrics or Metrics()
        self._device = device or create_device_thread()
        self._queue: list[QueuedWindow] = []
        self._queue_changed = asyncio.Event()
        self._background = BackgroundAdmission()
        self._batch_size = BatchSizeLimit(max_batch, oom_batch_cooldown_seconds)
        self._restarts = engine.health.restarts
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="scheduler")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for window in self._queue:
            window.result.cancel()
        # In a thread, because a batch may still run and the event loop must not wait for it.
        await asyncio.to_thread(self._device.shutdown)

    @property
    def is_running(self) -> bool:
        """Whether the loop that generates windows is alive."""
        return self._task is not None and not self._task.done()

    @property
    def queue_depth(self) -> int:
        """Number of windows that wait for the device, without the running batch."""
        return sum(not window.result.done() for window in self._queue)

    def running_seconds(self, now: float) -> float:
        """Return the time for which the current batch has been running, 0 without one."""
        return 0.0 if self.running_batch is None else now - self.running_batch.started_at

    async def run_on_device(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in the device thread, after the work that is queued there."""
        return await asyncio.get_running_loop().run_in_executor(self._device, function, *arguments)

    async def wait_for_device(self) -> None:
        """Wait until the device thread has finished its work."""
        await self.run_on_device(lambda: None)

    def generate(self, job: WindowJob, preset: str = "", solo: bool = False) -> asyncio.Future[WindowResult]:
        """Queue a window and return a future of its result, or of the engine's exception.

        Args:
            job: Window to generate.
            preset: Sampling plan as metrics name it; windows without one are not counted.
            solo: Whether to generate it in a batch of its own, because it may be what crashes the engine.
        """
        window = QueuedWindow(job, preset, solo)
        self._queue.append(window)
        self._queue_changed.set()
        return window.result

    async def _run(self) -> None:
        while True:
            await self._queue_changed.wait()
            self._queue = [window for window in self._queue if not window.result.done()]
            if not self._queue:
                self._queue_changed.clear()
                continue
            batch = select_batch(self._queue, self._batch_size.current(time.monotonic()))
            if batch[0].job.is_background and await self._hold_background():
                continue
            self._queue = [window for window in self._queue if window not in batch]
            await self._generate_batch(batch)

    async def _hold_background(self) -> bool:
        """Hold back a background window; return whether to select again, because time passed or a window was queued."""
        delay = self._background.seconds_to_wait(time.monotonic())
        if delay <= 0:
            return False
        self._queue_changed.clear()
        try:
            async with asyncio.timeout(delay):
                await self._queue_changed.wait()
        except TimeoutError:
            self._queue_changed.set()
        return True

    async def _generate_batch(self, batch: Sequence[QueuedWindow]) -> None:
        started_at = time.monotonic()
        self.running_batch = RunningBatch(batch[0].job.request.frames, started_at)
        results: Sequence[WindowResult] = ()
        try:
            results = await self.run_on_device(self.engine.generate, [each.job.request for each in batch])
        except OutOfMemoryError as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
        except EngineLostError as error:
            for window in batch:
                window.fail(error)
            return
        except Exception as error:
            await self._generate_one_by_one(batch, error)
            return
        finally:
            self.running_batch = None
        if (
            not results
        ):  # outside of the except clause: the exception keeps the tensors of the failed batch alive
            await self._generate_halves(batch)
            return
        self._record(batch, results, started_at, time.monotonic())
        for window, result in zip(batch, results, strict=True):
            if not window.result.done():
                window.result.set_result(result)
        if not self._queue:
            await self._prefetch(results)

    def _record(
        self, batch: Sequence[QueuedWindow], results: Sequence[WindowResult], started_at: float, now: float
    ) -> None:
        """Record costs and metrics of a batch; background windows say nothing about how long sessions wait."""
        self._ignore_costs_before_restart(now)
        frames = batch[0].job.request.frames
        media_seconds = frames / self.engine.fps
        if batch[0].preset:
            self._metrics.record_batch(_measure(batch, results, media_seconds, started_at, now))
        if batch[0].job.is_background:
            self._background.record_background_window(now, now - started_at)
            return
        self.costs.record_window(frames, min(window.job.requested_at for window in batch), now)
        cost = self.costs.window_cost(frames)
        for window in batch:
            self._background.record_session_window(now, window.job.deadline, media_seconds, cost)

    def _ignore_costs_before_restart(self, now: float) -> None:
        restarts = self.engine.health.restarts
        if restarts != self._restarts:
            self._restarts = restarts
            self.costs.ignore_before(now)

    async def _prefetch(self, results: Sequence[WindowResult]) -> None:
        """Compute motion features of the next windows while their audio is still to come."""
        started_at = time.monotonic()
        try:
            await self.run_on_device(
                self.engine.prefetch_motion_features, [result.stream for result in results]
            )
        except EngineGoneError:
            return  # the next requests report it
        except Exception:
            log.exception(
                "motion features could not be prefetched"
            )  # the next window reports an error that persists
        now = time.monotonic()
        self._ignore_costs_before_restart(now)
        if self.costs.record_prefetch(len(results), started_at, now):
            self._metrics.record_prefetch(now - started_at)

    async def _generate_halves(self, batch: Sequence[QueuedWindow]) -> None:
        half = (len(batch) + 1) // 2
        log.warning("out of device memory for a batch of %d windows; generating it in halves", len(batch))
        self._batch_size.lower(half, time.monotonic())
        await self._generate_batch(batch[:half])
        await self._generate_batch(batch[half:])

    async def _generate_one_by_one(self, batch: Sequence[QueuedWindow], error: Exception) -> None:
        """Retry each window alone, so that an error in one session does not fail the others."""
        if len(batch) == 1:
            batch[0].fail(error)
            return
        for window in batch:
            await self._generate_batch([window])


def _measure(
    batch: Sequence[QueuedWindow],
    results: Sequence[WindowResult],
    media_seconds: float,
    started_at: float,
    now: float,
) -> BatchMeasurement:
    work = results[0].timings
    stage_seconds = work.audio_encoding + work.denoising + work.decoding
    return BatchMeasurement(
        kind="clip" if batch[0].job.is_background else "session",
        preset=batch[0].preset,
        media_seconds=media_seconds,
        busy_seconds=now - started_at,
        queueing=tuple(max(0.0, now - window.job.requested_at - stage_seconds) for window in batch),
        stages={
            "audio_encoding": work.audio_encoding,
            "denoising": work.denoising,
            "decoding": work.decoding,
        },
    )
