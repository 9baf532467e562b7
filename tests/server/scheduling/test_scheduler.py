"""Which windows share a batch, and what becomes of those that nobody wants or that fail."""

import asyncio
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from lipstream_server.engines.base import (
    Made,
    OutOfMemoryError,
    Request,
    Stream,
)
from lipstream_server.engines.stub import StubEngine
from lipstream_server.scheduling.scheduler import (
    BACKGROUND,
    Scheduler,
    Waiting,
    choose,
)


def request(engine: StubEngine, preset: str = "exact", frames: int = 4, avatar: str = "red") -> Request:
    stream = engine.open(avatar, preset).stream
    return Request(stream, np.zeros(engine.samples_needed(frames), np.float32), 0, frames, False)


async def test_the_earliest_deadline_is_first_and_only_likes_share_its_batch() -> None:
    engine = StubEngine()
    waiting = [
        Waiting(request(engine), 5.0),
        Waiting(request(engine, preset="realtime"), 1.5),
        Waiting(request(engine), 1.0),
        Waiting(request(engine, frames=8), 1.2),
        Waiting(request(engine), 2.0),
    ]
    assert [each.deadline for each in choose(waiting, 8)] == [1.0, 2.0, 5.0]
    assert [each.deadline for each in choose(waiting, 2)] == [1.0, 2.0]
    assert [each.deadline for each in choose(waiting[:2], 8)] == [1.5]


class Gated(StubEngine):
    """Waits for its gate, and fails for grey."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def generate(self, requests: list[Request]) -> list[Made]:
        self.gate.wait(60)
        if any(each.stream.avatar == "grey" for each in requests):  # type: ignore[attr-defined]
            self.batches.append(-len(requests))
            raise RuntimeError("grey")
        return super().generate(requests)


async def test_what_waits_is_made_together_and_what_is_cancelled_is_not() -> None:
    engine = Gated()
    async with Scheduler(engine) as scheduler:
        running = scheduler.generate(request(engine), 0.0)
        await asyncio.sleep(0.05)
        rest = [scheduler.generate(request(engine), time.monotonic()) for _ in range(4)]
        rest[1].cancel()
        engine.gate.set()
        await running
        await asyncio.wait(rest)
    assert engine.batches == [1, 3]
    assert scheduler.cost(4) > 0
    assert scheduler.cost(8) >= scheduler.cost(4)


class Looking(StubEngine):
    """Remembers what it did, and has trouble looking back."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []

    def generate(self, requests: Sequence[Request]) -> list[Made]:
        self.did.append("generate")
        return super().generate(requests)

    def look_back(self, streams: Sequence[Stream]) -> None:
        self.did.append("look back")
        raise RuntimeError("trouble")


async def test_streams_look_back_when_nobody_waits_and_windows_go_on_if_they_cannot() -> None:
    engine = Looking()
    async with Scheduler(engine) as scheduler:
        await asyncio.wait([scheduler.generate(request(engine, frames=frames), 0.0) for frames in (4, 8)])
        await scheduler.call(engine.did.append, "idle")
        await scheduler.generate(request(engine), 0.0)
    assert engine.did[:5] == ["generate", "generate", "look back", "idle", "generate"]


async def test_a_window_waits_for_one_of_the_background_at_most() -> None:
    engine = Gated()
    order: list[str] = []
    async with Scheduler(engine) as scheduler:

        def ask(name: str, deadline: float) -> asyncio.Future[Made]:
            window = scheduler.generate(request(engine), deadline)
            window.add_done_callback(lambda _: order.append(name))
            return window

        windows = [ask("clip", BACKGROUND)]
        await asyncio.sleep(0.05)
        windows += [ask("clip", BACKGROUND), ask("live", 2.0), ask("clip", BACKGROUND), ask("live", 1.0)]
        engine.gate.set()
        await asyncio.wait(windows)
    assert order == ["clip", "live", "live", "clip", "clip"]
    assert engine.batches == [1, 2, 1, 1]  # and never in a batch with it, which would take longer


async def test_a_session_that_is_behind_does_not_share_with_the_background() -> None:
    engine = StubEngine(seconds_per_window=0.01)
    async with Scheduler(engine) as scheduler:
        last = scheduler.generate(request(engine), 1.0)
        clip = scheduler.generate(request(engine), BACKGROUND)
        for _ in range(5):  # each is asked for when the one before is there
            await last
            last = scheduler.generate(request(engine), 1.0)
        await last
        assert not clip.done()
        await clip


async def test_a_batch_that_fails_is_made_one_by_one() -> None:
    engine = Gated()
    async with Scheduler(engine) as scheduler:
        first = scheduler.generate(request(engine), 0.0)
        await asyncio.sleep(0.05)
        futures = [
            scheduler.generate(request(engine, avatar=colour), 1.0) for colour in ("red", "grey", "blue")
        ]
        engine.gate.set()
        await first
        await asyncio.wait(futures)
    with pytest.raises(RuntimeError, match="grey"):
        futures[1].result()
    assert len(futures[0].result().frames) == len(futures[2].result().frames) == 4
    assert engine.batches == [1, -3, 1, -1, 1]


async def test_leaving_cancels_what_waits() -> None:
    engine = Gated()
    async with Scheduler(engine) as scheduler:
        scheduler.generate(request(engine), 0.0)
        await asyncio.sleep(0.05)
        waiting = scheduler.generate(request(engine), 0.0)
        engine.gate.set()
    assert waiting.done()


class Roomy(StubEngine):
    """There is room for two windows."""

    def generate(self, requests: Sequence[Request]) -> list[Made]:
        if len(requests) > 2:
            self.batches.append(-len(requests))
            raise OutOfMemoryError("no room")
        return super().generate(requests)


async def test_a_batch_without_room_is_made_in_halves_and_the_next_ones_are_smaller() -> None:
    engine = Roomy()
    async with Scheduler(engine) as scheduler:
        for _ in range(2):
            await asyncio.gather(*(scheduler.generate(request(engine), 0.0) for _ in range(7)))
    assert engine.batches[:7] == [-7, -4, 2, 2, -3, 2, 1]
    assert engine.batches[7:] == [2, 2, 2, 1]
    engine = Roomy()
    async with Scheduler(engine, oom_batch_cooldown_seconds=0.0) as scheduler:
        for _ in range(2):
            await asyncio.gather(*(scheduler.generate(request(engine), 0.0) for _ in range(3)))
    assert engine.batches == [-3, 2, 1] * 2


async def test_a_window_that_was_lost_with_others_is_made_alone() -> None:
    engine = StubEngine()
    waiting = [
        Waiting(request(engine), 1.0),
        Waiting(request(engine), 0.5, alone=True),
        Waiting(request(engine), 2.0),
    ]
    assert [each.deadline for each in choose(waiting, 8)] == [0.5]
    assert [each.deadline for each in choose([waiting[0], waiting[2]], 8)] == [1.0, 2.0]
    assert [each.deadline for each in choose([waiting[0], Waiting(request(engine), 3.0, alone=True)], 8)] == [
        1.0
    ]
