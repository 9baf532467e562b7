"""What all sessions share: the engine and its scheduler, the encoders' threads, and how many sessions there may be."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import MappingProxyType, TracebackType
from typing import Literal, Self

import numpy as np

from .avatars import Avatars
from .busy import BusyError
from .engine import Engine, EngineLostError, Opened, OutOfMemoryError, Request, UnknownPresetError
from .live_codecs import h264_encoder
from .scheduler import Scheduler
from .settings import ServerSettings
from .storage import Storage
from .windows import Planner

log = logging.getLogger(__name__)
_MOST_SESSIONS = 64
_UNREADY = MappingProxyType(
    {
        "loading": "the model is being loaded",
        "restarting": "the engine failed and is being started again",
        "lost": "the engine failed too often; the server must be restarted",
    }
)
_ROUNDS = 2


class Service:
    """An async context manager; it is ready once `warm_up` has ended. limit: sessions at once."""

    def __init__(
        self,
        engine: Engine,
        settings: ServerSettings,
        storage: Storage,
        device: ThreadPoolExecutor | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.sessions = 0
        self.limit = settings.sessions or 1
        self._warm = False
        self._checking: asyncio.Task[None] | None = None
        self.encoders = ThreadPoolExecutor(settings.encoders, "encoder")
        self.scheduler = Scheduler(engine, settings.most_batch, device, settings.engine.smaller_seconds)
        self.avatars = Avatars(engine, self.scheduler, storage, settings.avatars)

    async def __aenter__(self) -> Self:
        await self.scheduler.__aenter__()
        self._checking = asyncio.create_task(self._check(), name="check")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._warm = False
        if self._checking is not None:
            self._checking.cancel()
        self.engine.close()  # first: the device's thread may be waiting for it
        await self.scheduler.__aexit__(kind, error, trace)
        self.encoders.shutdown()

    @property
    def ready(self) -> bool:
        """Warmed up, and its engine is there."""
        return self._warm and self.engine.health.state == "running"

    @property
    def status(self) -> Literal["loading", "restarting", "lost", "full", "ready"]:
        """What an operator is told; another session would be taken when it is ready."""
        state = self.engine.health.state
        if state != "running":
            return state
        if not self._warm:
            return "loading"
        return "full" if self.full else "ready"

    @property
    def alive(self) -> bool:
        """Whether the device's loop goes on; an engine that is being brought back is part of that."""
        checking = self._checking is not None and not self._checking.done()
        return checking and self.scheduler.running and self.engine.health.state != "lost"

    @property
    def full(self) -> bool:
        return self.sessions >= self.limit

    @property
    def preset(self) -> str:
        return self.settings.preset or self.engine.presets[0]

    def planner(self) -> Planner:
        scheduler, engine = self.scheduler, self.engine
        return Planner(
            self.settings.windows,
            engine.fps,
            engine.samples_needed,
            scheduler.cost,
            lambda: scheduler.after,
        )

    @contextmanager
    def place(self, avatar: str | None = None) -> Iterator[None]:
        """A place among the sessions, taken at once so that two cannot take the last one. Raises BusyError."""
        if self.full:
            raise BusyError(f"all {self.limit} sessions are taken", self.settings.retry_seconds)
        self.sessions += 1
        try:
            with self.avatars.used(avatar or self.engine.avatars[0]):
                yield
        finally:
            self.sessions -= 1

    async def open(self, avatar: str | None, preset: str | None) -> Opened:
        """A stream at its beginning. Raises EngineError."""
        return await self.avatars.open(avatar or self.engine.avatars[0], preset or self.preset)

    async def warm_up(self) -> None:
        """Make one window of every length, measure, and derive the limit; then the service is ready."""
        if self.preset not in self.engine.presets:
            raise UnknownPresetError(
                f"there is no preset {self.preset!r}, only {', '.join(self.engine.presets)}"
            )
        await asyncio.get_running_loop().run_in_executor(self.encoders, h264_encoder)
        opened = await self.open(None, None)
        for frames in self.settings.windows.lengths:
            request = silent_window(self.engine, opened, frames)
            for _ in range(_ROUNDS):  # the first round pays for what is made lazily
                await self.scheduler.generate(request, time.monotonic())
            self.scheduler.forget(frames)
            await self.scheduler.rest()  # what follows a window is not part of what the next one costs
            await self.scheduler.generate(request, time.monotonic())
        if self.settings.sessions is None:
            self.limit = await self.scheduler.call(self._measure, opened)
        self._warm = True

    async def _check(self) -> None:
        """An engine that is lost while nobody speaks is brought back before somebody does."""
        while True:
            await asyncio.sleep(self.settings.engine.check_seconds)
            try:
                await self.scheduler.call(self.engine.check)
            except EngineLostError as error:
                if self.engine.health.state == "lost":
                    log.critical("%s", error)
                    await asyncio.Event().wait()

    def _measure(self, opened: Opened) -> int:
        """Sessions that one device can hold, from what a batch of one window and one of two windows cost."""
        frames = self.settings.windows.lengths[-1]
        request = silent_window(self.engine, opened, frames)
        costs = []
        for batch in (1, 2):
            begin = time.perf_counter()
            try:
                made = self.engine.generate([request] * batch)
            except OutOfMemoryError:
                if batch == 1:
                    raise
                return 1
            self.engine.look_back([each.stream for each in made])
            costs.append(time.perf_counter() - begin)
        return session_limit(costs[0], costs[1], self.settings.load * frames / self.engine.fps)


def unready(service: Service | None) -> str:
    """Why nothing is taken now."""
    status = "loading" if service is None else service.status
    return _UNREADY.get(status, _UNREADY["loading"])


def session_limit(one: float, two: float, budget: float) -> int:
    """How many windows fit into `budget` seconds, where one costs `one` and two together cost `two`; at least one session."""
    each = max(two - one, one / 20, 1e-6)
    return max(1, min(_MOST_SESSIONS, 1 + int((budget - one) / each)))


def silent_window(engine: Engine, opened: Opened, frames: int) -> Request:
    samples = np.zeros(engine.samples_needed(frames), np.float32)
    return Request(opened.stream, samples, 0, frames, False)
