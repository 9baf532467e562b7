"""What all sessions and clips share: the engine with its scheduler, avatars, encoder threads and the session limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from types import MappingProxyType, TracebackType
from typing import Literal, Self

from ..avatars.registry import AvatarRegistry
from ..config.settings import ServerSettings
from ..engines.base import (
    DeviceState,
    EngineHealth,
    OpenedStream,
    UnknownPresetError,
)
from ..engines.interface import SupervisedEngine
from ..errors import BusyError
from ..media.live.codecs import h264_encoder
from ..observability.telemetry import Telemetry
from ..scheduling.capacity import CapacityModel
from ..scheduling.engine_monitor import monitor_engine
from ..scheduling.scheduler import Scheduler
from ..storage.storage import Storage
from .conversation import Conversation
from .limiter import SessionLimiter
from .warmup import measure_capacity, measure_window_costs, silent_window
from .window_planner import WindowPlanner

Unready = Literal["loading", "restarting", "lost"]
_UNREADY_REASONS: Mapping[Unready, str] = MappingProxyType(
    {
        "loading": "the model is being loaded",
        "restarting": "the engine failed and is being restarted",
        "lost": "the engine failed too often; restart the server",
    }
)


class Service:
    """Composition of everything around one engine; an async context manager, ready after `warm_up`.

    Args:
        engine: SupervisedEngine, which is closed at the end.
        settings: Settings of the server.
        storage: Open data directory.
        device: Thread that loaded the engine.
        telemetry: Metrics, drain and tracer.

    Attributes:
        conversations: Conversations of the active sessions.
        device_state: Device and its memory, as of the last `update_device_state`.
        encoders: Threads that encode and decode media.
    """

    def __init__(
        self,
        engine: SupervisedEngine,
        settings: ServerSettings,
        storage: Storage,
        device: ThreadPoolExecutor | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.telemetry = telemetry or Telemetry()
        self.device_state = DeviceState("unknown")
        self.conversations: set[Conversation] = set()
        self.limiter = SessionLimiter(settings.max_sessions, settings.retry_after_seconds)
        self.encoders = ThreadPoolExecutor(settings.encoder_threads, "encoder")
        self.scheduler = Scheduler(
            engine,
            settings.max_batch,
            device,
            self.telemetry.metrics,
            settings.engine.oom_batch_cooldown_seconds,
        )
        self.avatars = AvatarRegistry(engine, self.scheduler, storage, settings.avatars)
        self._single_costs: Mapping[int, float] = {}
        self._capacity: CapacityModel | None = None
        self._is_warm = False
        self._monitor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.scheduler.__aenter__()
        monitor = monitor_engine(self.scheduler, self.settings.engine.health_check_seconds)
        self._monitor = asyncio.create_task(monitor, name="engine monitor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_warm = False
        if self._monitor is not None:
            self._monitor.cancel()
        self.engine.close()  # first: the device thread may be waiting for it
        await self.scheduler.__aexit__(kind, error, trace)
        self.encoders.shutdown()

    @property
    def engine_health(self) -> EngineHealth:
        """Whether the engine runs, and how often it was restarted."""
        return self.engine.health

    @property
    def is_ready(self) -> bool:
        """Whether the engine is warm and running."""
        return self._is_warm and self.engine_health.state == "running"

    @property
    def is_alive(self) -> bool:
        """Whether the tasks that generate windows and monitor the engine are running."""
        return self._monitor is not None and not self._monitor.done() and self.scheduler.is_running

    @property
    def default_avatar(self) -> str:
        """Avatar of sessions and clips that name none."""
        return self.engine.avatars[0]

    @property
    def preset(self) -> str:
        """Sampling plan of sessions and clips that name none."""
        return self.settings.preset or self.engine.presets[0]

    @property
    def fragment_frames(self) -> int:
        """Frames of a fragment now. The first frame of a fragment of two is sent one frame duration later."""
        return (
            1
            if self.limiter.active <= self.settings.low_latency_max_sessions
            else self.settings.fragment_frames
        )

    @property
    def buffered_seconds(self) -> float:
        """Seconds of audio of all sessions that were received and not sent."""
        return sum(conversation.buffered_seconds for conversation in self.conversations)

    def create_planner(self) -> WindowPlanner:
        """Return a window planner for a session of this engine."""
        return WindowPlanner(
            self.settings.windows,
            self.engine.fps,
            self.engine.samples_needed,
            self.window_cost,
            lambda: self.scheduler.costs.prefetch_cost,
        )

    def window_cost(self, frames: int) -> float:
        """Return the expected seconds from requesting a window to its result.

        The recent median, and with several sessions at least what the capacity model predicts: the latency of an
        utterance is decided at its start, before its own windows could be measured.
        """
        recent, sessions = self.scheduler.costs.window_cost(frames), self.limiter.expected_sessions
        if self._capacity is None or sessions <= 1:
            return recent
        return max(recent, self._single_costs.get(frames, 0.0) * self._capacity.slowdown(sessions))

    @contextmanager
    def session_slot(self, avatar: str | None = None) -> Iterator[None]:
        """Hold a session slot, and the avatar in memory.

        Raises:
            BusyError: The session limit is reached.
        """
        with self.limiter.slot(), self.avatars.in_use(avatar or self.default_avatar):
            yield

    async def open_stream(self, avatar: str | None, preset: str | None) -> OpenedStream:
        """Return a stream at its start.

        Raises:
            EngineError: The avatar or the preset is unknown.
        """
        return await self.avatars.open(avatar or self.default_avatar, preset or self.preset)

    async def update_device_state(self) -> None:
        """Update `device_state` in the device thread."""
        self.device_state = await self.scheduler.run_on_device(self.engine.device_state)

    async def warm_up(self) -> None:
        """Generate windows of each length, measure, and derive the session limit; then the service is ready.

        Raises:
            UnknownPresetError: The preset of the settings is unknown.
        """
        if self.preset not in self.engine.presets:
            presets = ", ".join(self.engine.presets)
            raise UnknownPresetError(f"expected one of the presets {presets}, got {self.preset!r}")
        await asyncio.get_running_loop().run_in_executor(self.encoders, h264_encoder)
        opened = await self.open_stream(None, None)
        self._single_costs = await measure_window_costs(self.scheduler, opened, self.settings.windows.lengths)
        await self._measure_capacity(opened)
        await self.update_device_state()
        build = self.telemetry.metrics.build
        build.labels(version("lipstream"), self.engine.name, self.device_state.name).set(1)
        self._is_warm = True

    async def _measure_capacity(self, opened: OpenedStream) -> None:
        """Derive the session limit from the windows of a session that starts alone, before others join."""
        frames = self.create_planner().sustainable_length
        request = silent_window(self.engine, opened, frames)
        self._capacity = await self.scheduler.run_on_device(
            measure_capacity, self.engine, request, self.settings.max_batch
        )
        budget = self.settings.max_device_load * frames / self.engine.fps
        self.limiter.apply_capacity(self._capacity.max_sessions(budget))


def unready_reason(service: Service | None) -> tuple[Unready, str]:
    """Return why a service that is not ready accepts nothing: one word and a sentence."""
    status: Unready = "loading"
    if service is not None and service.engine_health.state != "running":
        status = service.engine_health.state
    return status, _UNREADY_REASONS[status]


def unready_error(service: Service | None, retry_after_seconds: float) -> BusyError:
    """Return the refusal of a service that is not ready."""
    status, reason = unready_reason(service)
    return BusyError(reason, retry_after_seconds, status)
