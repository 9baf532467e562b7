"""Who is generated next: windows of several sessions in one batch, the earliest deadline first, in the device's one thread."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from types import TracebackType
from typing import Self, TypeVar

from ..engines.base import (
    Engine,
    EngineGoneError,
    EngineLostError,
    Made,
    OutOfMemoryError,
    Request,
)
from ..observability.metrics import BatchMeasurement, Kind, Metrics
from .background_admission import BackgroundAdmission

T = TypeVar("T")
log = logging.getLogger(__name__)
BACKGROUND = math.inf
"""The deadline of a window that nobody watches come: it is made alone, and only while no other window waits."""
_REMEMBERED = 5  # measurements whose median is taken: what disturbed one window says nothing of the next


@dataclass(frozen=True, eq=False)
class Waiting:
    """A window that somebody waits for. deadline: in seconds of time.monotonic. preset: for whoever counts windows. alone: it
    shares no batch.
    """

    request: Request
    deadline: float
    since: float = 0.0
    preset: str = ""
    alone: bool = False
    result: asyncio.Future[Made] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(frozen=True)
class RunningBatch:
    """What the device is at. frames: of each window; since: in seconds of time.monotonic."""

    frames: int
    since: float


def choose(waiting: Sequence[Waiting], most: int) -> list[Waiting]:
    """The batch to make now: the window with the earliest deadline, and the earliest of those that can share its batch.

    A window of the background shares none: it would make the others wait for longer.
    """
    ordered = sorted(waiting, key=lambda each: each.deadline)
    if ordered[0].deadline == BACKGROUND or ordered[0].alone:
        return ordered[:1]
    first = ordered[0].request
    return [
        each
        for each in ordered
        if each.deadline != BACKGROUND
        and not each.alone
        and each.request.frames == first.frames
        and each.request.stream.batch_key == first.stream.batch_key
    ][:most]


def device_thread() -> ThreadPoolExecutor:
    """The one thread that may use the device, loading included: every thread that has computed keeps helpers of its own (OpenMP),
    and where these are more than the cores, windows take twice as long.
    """
    return ThreadPoolExecutor(1, "device")


class Scheduler:
    """An async context manager. most: largest batch. device: the thread that all work is done in, its own without it; shut down at
    the end. smaller_seconds: after it ran out of memory, batches stay half as large for so long.

    Who no longer wants a window cancels what `generate` returned; a window that is being made is made to its end.
    """

    def __init__(
        self,
        engine: Engine,
        most: int = 8,
        device: ThreadPoolExecutor | None = None,
        metrics: Metrics | None = None,
        smaller_seconds: float = 60.0,
    ) -> None:
        self.engine = engine
        self.batches = 0
        self.windows = 0
        self.work: RunningBatch | None = None
        self._metrics = metrics or Metrics()
        self._device = device or device_thread()
        self._waiting: list[Waiting] = []
        self._arrived = asyncio.Event()
        self._costs: dict[int, deque[float]] = {}
        self._after: deque[float] = deque(maxlen=_REMEMBERED)
        self._gaps = BackgroundAdmission()
        self._smaller = _Smaller(most, smaller_seconds)
        self._restarts = engine.health.restarts
        self._disturbed = (
            0.0  # what was asked for before was not made by an engine that was there all the time
        )
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
        for each in self._waiting:
            each.result.cancel()
        # In a thread, because a window may still be in work and the loop must not stand still for it.
        await asyncio.to_thread(self._device.shutdown)

    @property
    def running(self) -> bool:
        """Whether windows are made of what is asked for."""
        return self._task is not None and not self._task.done()

    @property
    def waiting(self) -> int:
        """Windows that somebody waits for, without those in work."""
        return sum(not each.result.done() for each in self._waiting)

    def cost(self, frames: int) -> float:
        """Seconds from asking for so many frames to having them, as lately seen; 0 while none were made. A length that was
        never made is taken to cost what the nearest one does, frame by frame.
        """
        if not self._costs:
            return 0.0
        nearest = min(self._costs, key=lambda length: abs(length - frames))
        return median(self._costs[nearest]) * max(1.0, frames / nearest)

    @property
    def after(self) -> float:
        """Seconds that the device is busy after a window, for the one that follows, as lately seen."""
        return median(self._after) if self._after else 0.0

    def forget(self, frames: int) -> None:
        """What windows of this length have cost until now does not count."""
        self._costs.pop(frames, None)

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function in the device's thread, after the batch that is being made."""
        return await asyncio.get_running_loop().run_in_executor(self._device, function, *arguments)

    async def rest(self) -> None:
        """Until the device has done all that it was given."""
        await self.call(lambda: None)

    def generate(
        self, request: Request, deadline: float, preset: str = "", alone: bool = False
    ) -> asyncio.Future[Made]:
        """Ask for a window; the future has it, or the exception that the engine raised. One without preset is not counted. alone:
        in a batch of its own, because the engine was lost at it, or at another one that was in its batch.
        """
        waiting = Waiting(request, deadline, time.monotonic(), preset, alone)
        self._waiting.append(waiting)
        self._arrived.set()
        return waiting.result

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._waiting = [each for each in self._waiting if not each.result.done()]
            if not self._waiting:
                self._arrived.clear()
                continue
            batch = choose(self._waiting, self._smaller.most(time.monotonic()))
            if batch[0].deadline == BACKGROUND and await self._asked_meanwhile():
                continue
            self._waiting = [each for each in self._waiting if each not in batch]
            await self._make(batch)

    async def _asked_meanwhile(self) -> bool:
        """Return whether a request arrived, or may have, while a background window was held back."""
        rest = self._gaps.wait(time.monotonic())
        if rest <= 0:
            return False
        self._arrived.clear()
        try:
            async with asyncio.timeout(rest):
                await self._arrived.wait()
        except TimeoutError:
            self._arrived.set()
        return True

    async def _make(self, batch: Sequence[Waiting]) -> None:
        begin = time.monotonic()
        self.work = RunningBatch(batch[0].request.frames, begin)
        made: Sequence[Made] = ()
        try:
            made = await self.call(self.engine.generate, [each.request for each in batch])
        except OutOfMemoryError as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
        except EngineLostError as error:
            for each in batch:
                _fail(each, error)
            return
        except Exception as error:
            await self._failed(batch, error)
            return
        finally:
            self.work = None
        if not made:  # outside of the clause: the error holds what was made of the batch
            await self._make_halves(batch)
            return
        self.batches += 1
        self.windows += len(batch)
        now = time.monotonic()
        self._notice_restarts(now)
        if batch[0].preset:
            self._metrics.record_batch(self._measurement(batch, made, now - begin, now))
        if batch[0].deadline == BACKGROUND:  # which waits for long, and says nothing of what sessions wait
            self._gaps.background(now, now - begin)
        else:
            since, frames = min(each.since for each in batch), batch[0].request.frames
            if since > self._disturbed:
                self._measure(frames, now - since)
            for each in batch:
                self._gaps.session(now, each.deadline, frames / self.engine.fps, self.cost(frames))
        for each, result in zip(batch, made, strict=True):
            if not each.result.done():
                each.result.set_result(result)
        if not self._waiting:
            await self._look_back(made)

    def _measurement(
        self, batch: Sequence[Waiting], made: Sequence[Made], seconds: float, now: float
    ) -> BatchMeasurement:
        first, work = batch[0], made[0].work
        worked = work.hearing + work.denoising + work.decoding
        waits = tuple(max(0.0, now - each.since - worked) for each in batch)
        kind: Kind = "clip" if first.deadline == BACKGROUND else "session"
        return BatchMeasurement(
            kind=kind,
            preset=first.preset,
            media_seconds=first.request.frames / self.engine.fps,
            busy_seconds=seconds,
            queueing=waits,
            stages={"audio_encoding": work.hearing, "denoising": work.denoising, "decoding": work.decoding},
        )

    def _notice_restarts(self, now: float) -> None:
        restarts = self.engine.health.restarts
        if restarts != self._restarts:
            self._restarts, self._disturbed = restarts, now

    async def _look_back(self, made: Sequence[Made]) -> None:
        """While the sound of the next windows is still to come."""
        begin = time.monotonic()
        try:
            await self.call(self.engine.look_back, [each.stream for each in made])
        except EngineGoneError:
            return  # everybody is told by what they ask for
        except Exception:
            log.exception("a stream could not look back")  # its next window fails by itself, or does not
        now = time.monotonic()
        self._notice_restarts(now)
        if begin > self._disturbed:
            self._metrics.record_prefetch(now - begin)
            self._after.append((now - begin) / len(made))

    async def _make_halves(self, batch: Sequence[Waiting]) -> None:
        half = (len(batch) + 1) // 2
        log.warning("no memory for a batch of %d windows; it is made in halves", len(batch))
        self._smaller.narrow(half, time.monotonic())
        await self._make(batch[:half])
        await self._make(batch[half:])

    async def _failed(self, batch: Sequence[Waiting], error: Exception) -> None:
        """One session's window must not fail those of others: each is tried alone."""
        if len(batch) > 1:
            for each in batch:
                await self._make([each])
        else:
            _fail(batch[0], error)

    def _measure(self, frames: int, seconds: float) -> None:
        self._costs.setdefault(frames, deque(maxlen=_REMEMBERED)).append(seconds)


def _fail(waiting: Waiting, error: Exception) -> None:
    if not waiting.result.done():
        waiting.result.set_exception(error)


class _Smaller:
    """How large a batch may be: after it was too large, no larger than half for some seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self._whole, self._seconds = most, seconds
        self._half, self._until = most, 0.0

    def narrow(self, half: int, now: float) -> None:
        self._half, self._until = half, now + self._seconds

    def most(self, now: float) -> int:
        return min(self._whole, self._half) if now < self._until else self._whole
