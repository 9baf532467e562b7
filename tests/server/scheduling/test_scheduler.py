"""Scheduler: which windows share a batch, in which order they run, and what happens to cancelled and failed ones."""

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from lipstream_server.engines.base import (
    OutOfMemoryError,
    Stream,
    WindowRequest,
    WindowResult,
)
from lipstream_server.engines.stub import StubEngine
from lipstream_server.scheduling.batches import (
    BACKGROUND,
    QueuedWindow,
    WindowJob,
    select_batch,
)
from lipstream_server.scheduling.scheduler import Scheduler


def job(
    engine: StubEngine, deadline: float = 0.0, preset: str = "exact", frames: int = 4, avatar: str = "red"
) -> WindowJob:
    stream = engine.open(avatar, preset).stream
    samples = np.zeros(engine.samples_needed(frames), np.float32)
    return WindowJob(WindowRequest(stream, samples, 0, frames, False), deadline)


def deadlines(batch: Sequence[QueuedWindow]) -> list[float]:
    return [window.job.deadline for window in batch]


async def test_batch_starts_with_the_earliest_deadline_and_holds_only_equal_windows() -> None:
    engine = StubEngine()
    queue = [
        QueuedWindow(job(engine, 5.0)),
        QueuedWindow(job(engine, 1.5, preset="realtime")),
        QueuedWindow(job(engine, 1.0)),
        QueuedWindow(job(engine, 1.2, frames=8)),
        QueuedWindow(job(engine, 2.0)),
    ]
    assert deadlines(select_batch(queue, 8)) == [1.0, 2.0, 5.0]
    assert deadlines(select_batch(queue, 2)) == [1.0, 2.0]
    assert deadlines(select_batch(queue[:2], 8)) == [1.5]


async def test_batch_of_a_solo_window_holds_no_other() -> None:
    engine = StubEngine()
    first, solo, last = (
        QueuedWindow(job(engine, 1.0)),
        QueuedWindow(job(engine, 0.5), solo=True),
        QueuedWindow(job(engine, 2.0)),
    )
    assert deadlines(select_batch([first, solo, last], 8)) == [0.5]
    assert deadlines(select_batch([first, last], 8)) == [1.0, 2.0]
    late_solo = QueuedWindow(job(engine, 3.0), solo=True)
    assert deadlines(select_batch([first, late_solo], 8)) == [1.0]


class GatedEngine(StubEngine):
    """Blocks until its gate is open, and fails for the avatar grey."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def generate(self, requests: list[WindowRequest]) -> list[WindowResult]:
        self.gate.wait(60)
        if any(request.stream.avatar == "grey" for request in requests):  # type: ignore[attr-defined]
            self.batches.append(-len(requests))
            raise RuntimeError("grey")
        return super().generate(requests)


async def test_scheduler_batches_queued_windows_and_drops_cancelled_ones() -> None:
    engine = GatedEngine()
    async with Scheduler(engine) as scheduler:
        running = scheduler.generate(job(engine))
        await asyncio.sleep(0.05)
        queued = [scheduler.generate(job(engine, time.monotonic())) for _ in range(4)]
        queued[1].cancel()
        engine.gate.set()
        await running
        await asyncio.wait(queued)
    assert engine.batches == [1, 3]
    assert scheduler.costs.window_cost(4) > 0
    assert scheduler.costs.window_cost(8) >= scheduler.costs.window_cost(4)


class FailingPrefetchEngine(StubEngine):
    """Records its calls, and fails to prefetch."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        self.calls.append("generate")
        return super().generate(requests)

    def prefetch_motion_features(self, streams: Sequence[Stream]) -> None:
        self.calls.append("prefetch")
        raise RuntimeError("prefetch failed")


async def test_scheduler_prefetches_when_the_queue_is_empty_and_survives_its_failure() -> None:
    engine = FailingPrefetchEngine()
    async with Scheduler(engine) as scheduler:
        await asyncio.wait([scheduler.generate(job(engine, frames=frames)) for frames in (4, 8)])
        await scheduler.run_on_device(engine.calls.append, "idle")
        await scheduler.generate(job(engine))
    assert engine.calls[:5] == ["generate", "generate", "prefetch", "idle", "generate"]


async def test_live_windows_wait_for_one_background_window_at_most() -> None:
    engine = GatedEngine()
    order: list[str] = []
    async with Scheduler(engine) as scheduler:

        def generate(name: str, deadline: float) -> asyncio.Future[WindowResult]:
            window = scheduler.generate(job(engine, deadline))
            window.add_done_callback(lambda _: order.append(name))
            return window

        windows = [generate("clip", BACKGROUND)]
        await asyncio.sleep(0.05)
        windows += [
            generate("clip", BACKGROUND),
            generate("live", 2.0),
            generate("clip", BACKGROUND),
            generate("live", 1.0),
        ]
        engine.gate.set()
        await asyncio.wait(windows)
    assert order == ["clip", "live", "live", "clip", "clip"]
    assert engine.batches == [1, 2, 1, 1]  # and no background window in their batch, which would take longer


async def test_background_windows_wait_while_a_session_is_behind() -> None:
    engine = StubEngine(seconds_per_window=0.01)
    async with Scheduler(engine) as scheduler:
        live = scheduler.generate(job(engine, 1.0))
        clip = scheduler.generate(job(engine, BACKGROUND))
        for _ in range(5):  # each is requested when the one before is ready
            await live
            live = scheduler.generate(job(engine, 1.0))
        await live
        assert not clip.done()
        await clip


async def test_failed_batches_are_retried_one_by_one() -> None:
    engine = GatedEngine()
    async with Scheduler(engine) as scheduler:
        first = scheduler.generate(job(engine))
        await asyncio.sleep(0.05)
        windows = [scheduler.generate(job(engine, 1.0, avatar=name)) for name in ("red", "grey", "blue")]
        engine.gate.set()
        await first
        await asyncio.wait(windows)
    with pytest.raises(RuntimeError, match="grey"):
        windows[1].result()
    assert len(windows[0].result().frames) == len(windows[2].result().frames) == 4
    assert engine.batches == [1, -3, 1, -1, 1]


async def test_scheduler_cancels_queued_windows_when_it_closes() -> None:
    engine = GatedEngine()
    async with Scheduler(engine) as scheduler:
        scheduler.generate(job(engine))
        await asyncio.sleep(0.05)
        queued = scheduler.generate(job(engine))
        engine.gate.set()
    assert queued.done()


class SmallMemoryEngine(StubEngine):
    """Has memory for batches of two."""

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        if len(requests) > 2:
            self.batches.append(-len(requests))
            raise OutOfMemoryError("out of memory")
        return super().generate(requests)


async def test_batches_without_memory_are_halved_and_the_next_ones_are_smaller() -> None:
    engine = SmallMemoryEngine()
    async with Scheduler(engine) as scheduler:
        for _ in range(2):
            await asyncio.gather(*(scheduler.generate(job(engine)) for _ in range(7)))
    assert engine.batches[:7] == [-7, -4, 2, 2, -3, 2, 1]
    assert engine.batches[7:] == [2, 2, 2, 1]
    engine = SmallMemoryEngine()
    async with Scheduler(engine, oom_batch_cooldown_seconds=0.0) as scheduler:
        for _ in range(2):
            await asyncio.gather(*(scheduler.generate(job(engine)) for _ in range(3)))
    assert engine.batches == [-3, 2, 1] * 2
