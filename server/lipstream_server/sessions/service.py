"""What all sessions share: the engine and its scheduler, the encoders' threads, and how many sessions there may be."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from statistics import median
from types import MappingProxyType, TracebackType
from typing import Literal, Self

import numpy as np

from ..avatars.avatars import Avatars
from ..busy import BusyError
from ..config.settings import ServerSettings
from ..engines.base import (
    DeviceState,
    Engine,
    EngineLostError,
    Opened,
    OutOfMemoryError,
    Request,
    UnknownPresetError,
)
from ..media.live.codecs import h264_encoder
from ..observability.telemetry import Telemetry
from ..scheduling.capacity import CapacityModel
from ..scheduling.scheduler import Scheduler
from ..storage.storage import Storage
from .conversation import Conversation
from .window_planner import Planner

Unready = Literal["loading", "restarting", "lost"]
log = logging.getLogger(__name__)
_ROUNDS = 2  # the first ones pay for what is made lazily
_MEASURED = 3
_UNREADY: Mapping[Unready, str] = MappingProxyType(
    {
        "loading": "the model is being loaded",
        "restarting": "the engine failed and is being started again",
        "lost": "the engine failed too often; the server must be restarted",
    }
)


class Service:
    """An async context manager; it is ready once `warm_up` has ended. limit: sessions at once."""

    def __init__(
        self,
        engine: Engine,
        settings: ServerSettings,
        storage: Storage,
        device: ThreadPoolExecutor | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self.device_state = DeviceState("unknown")
        self.talks: set[Conversation] = set()  # of the sessions that are there
        self.sessions = 0
        self.limit = settings.sessions or 1
        self._alone: dict[int, float] = {}
        self._sharing: CapacityModel | None = None
        self._warm = False
        self._checking: asyncio.Task[None] | None = None
        self.encoders = ThreadPoolExecutor(settings.encoders, "encoder")
        self.scheduler = Scheduler(
            engine,
            settings.most_batch,
            device,
            self.telemetry.metrics,
            settings.engine.smaller_seconds,
        )
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
    def running(self) -> bool:
        """Whether the tasks go on that make windows and look after the engine."""
        return self._checking is not None and not self._checking.done() and self.scheduler.running

    @property
    def full(self) -> bool:
        return self.sessions >= self.limit

    @property
    def fragment_frames(self) -> int:
        """Pictures of a fragment now: a second one in it would have to be there 40 ms before its turn."""
        return 1 if self.sessions <= self.settings.few_sessions else self.settings.fragment_frames

    @property
    def backlog(self) -> float:
        """Seconds of audio of all sessions that came and has not been sent."""
        return sum(talk.backlog for talk in self.talks)

    @property
    def preset(self) -> str:
        return self.settings.preset or self.engine.presets[0]

    def planner(self) -> Planner:
        scheduler, engine = self.scheduler, self.engine
        return Planner(
            self.settings.windows,
            engine.fps,
            engine.samples_needed,
            self.cost,
            lambda: scheduler.after,
        )

    def cost(self, frames: int) -> float:
        """Seconds from asking for a window of so many frames to having it: as lately seen, and where sessions share the device at
        least what follows for as many from the warm-up. When an utterance begins its delay is decided; what its windows take is
        learnt too late.
        """
        seen, sharers = self.scheduler.cost(frames), self._sharers
        if self._sharing is None or sharers <= 1:
            return seen
        return max(seen, self._alone.get(frames, 0.0) * self._sharing.slower(sharers))

    @property
    def _sharers(self) -> int:
        """The sessions that there are, and one that may come, where the measured places are a promise that all are in time. Where
        the number was set by hand, who is alone does not wait for somebody that may never come.
        """
        return min(self.sessions + 1, self.limit) if self.settings.sessions is None else self.sessions

    @contextmanager
    def place(self, avatar: str | None = None) -> Iterator[None]:
        """A place among the sessions, taken at once so that two cannot take the last one. Raises BusyError."""
        if self.full:
            raise BusyError(f"all {self.limit} sessions are taken", self.settings.retry_seconds, "full")
        self.sessions += 1
        try:
            with self.avatars.used(avatar or self.engine.avatars[0]):
                yield
        finally:
            self.sessions -= 1

    async def open(self, avatar: str | None, preset: str | None) -> Opened:
        """A stream at its beginning. Raises EngineError."""
        return await self.avatars.open(avatar or self.engine.avatars[0], preset or self.preset)

    async def look_at_device(self) -> None:
        """Bring `device_state` up to date, in the device's thread, which alone may ask."""
        self.device_state = await self.scheduler.call(self.engine.device_state)

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
            for _ in range(_ROUNDS):
                await self.scheduler.generate(request, time.monotonic())
            self.scheduler.forget(frames)
            for _ in range(_MEASURED):
                await self.scheduler.rest()  # what follows a window is not part of what the next one costs
                await self.scheduler.generate(request, time.monotonic())
            self._alone[frames] = self.scheduler.cost(frames)
        await self._share(opened)
        await self.look_at_device()
        build = self.telemetry.metrics.build
        build.labels(version("lipstream"), self.engine.name, self.device_state.name).set(1)
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
            except Exception:
                log.exception("the engine could not be checked")

    async def _share(self, opened: Opened) -> None:
        """How many sessions there may be follows from windows as one that is alone begins with them: it may be in the middle of an
        utterance, whose delay is decided, when others come.
        """
        frames = self.planner().steady
        self._sharing = await self.scheduler.call(self._measure, silent_window(self.engine, opened, frames))
        if self.settings.sessions is None:
            self.limit = self._sharing.most_sessions(self.settings.load * frames / self.engine.fps)

    def _measure(self, request: Request) -> CapacityModel:
        """What a window costs alone and in a batch of two, with what the device does after it."""
        one = median(self._time([request]) for _ in range(_MEASURED))
        try:
            two = median(self._time([request] * 2) for _ in range(_MEASURED))
        except OutOfMemoryError:
            return CapacityModel(one, 2 * one, 1)
        return CapacityModel(one, two, self.settings.most_batch)

    def _time(self, batch: list[Request]) -> float:
        begin = time.perf_counter()
        self.engine.look_back([each.stream for each in self.engine.generate(batch)])
        return time.perf_counter() - begin


def unready(service: Service | None) -> tuple[Unready, str]:
    """Why nothing is taken now of a service that is not ready: a word and a reason."""
    status: Unready = "loading"
    if service is not None and service.engine.health.state != "running":
        status = service.engine.health.state
    return status, _UNREADY[status]


def busy(service: Service | None, retry_seconds: float) -> BusyError:
    """The refusal that says so."""
    status, why = unready(service)
    return BusyError(why, retry_seconds, status)


def silent_window(engine: Engine, opened: Opened, frames: int) -> Request:
    samples = np.zeros(engine.samples_needed(frames), np.float32)
    return Request(opened.stream, samples, 0, frames, False)
