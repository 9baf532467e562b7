"""An engine in a process of its own, which is restarted when it crashes or hangs.

The server keeps snapshots of all avatars and streams, so a stream goes on after a restart as if nothing had happened, only later.
Whoever asked for the window that was lost asks for it again, or for another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ...config.live_settings import EngineSettings
from ...media.arrays import RgbImage
from ..base import (
    EngineHealth,
    EngineLostError,
    OpenedStream,
    Stream,
    WindowRequest,
    WindowResult,
)
from ..interface import RestorableEngine, SupervisedEngine
from .forwarding import forward_abstract_methods
from .messages import EngineFacts
from .rpc_server import COUNT_STREAMS
from .supervisor import EngineSupervisor
from .worker import EngineWorker, WorkerDiedError


@forward_abstract_methods
class EngineProcess(SupervisedEngine):
    """A `SupervisedEngine`, and a context manager that closes it.

    Methods of `Engine` that are not written here run in the engine's process, see `forward_abstract_methods`.
    """

    def __init__(
        self,
        make: Callable[[], RestorableEngine],
        settings: EngineSettings | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self._supervisor = EngineSupervisor(make, settings or EngineSettings(), preload)
        self._last_request: WindowRequest | None = None  # that succeeded; it warms up the next process

    @classmethod
    def create(
        cls,
        make: Callable[[], RestorableEngine],
        settings: EngineSettings | None = None,
        preload: Sequence[str] = (),
    ) -> Self:
        """Return an engine that is not started yet.

        Args:
            make: Loads the engine, in its process; picklable.
            settings: Timeouts and limits.
            preload: Modules that the engine needs, see `EngineWorker.start`.
        """
        return cls(make, settings, preload)

    def start(self) -> Self:
        """Start the process and wait until the engine has loaded. Raises EngineGoneError, and what loading raised."""
        self._supervisor.start()
        return self

    def close(self) -> None:
        """Kill the process. Any thread may call it."""
        self._supervisor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def health(self) -> EngineHealth:
        """Health of the process."""
        return self._supervisor.health

    @property
    def call_timeout(self) -> float:
        """Timeout in seconds of the call in progress; 0 without one."""
        return self._supervisor.call_timeout

    @property
    def pid(self) -> int | None:
        """Id of the engine's process; None before `start`."""
        worker = self._supervisor.worker
        return None if worker is None else worker.process.pid

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._info.name

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame."""
        return self._info.size

    @property
    def fps(self) -> int:
        """Frames per second."""
        return self._info.fps

    @property
    def avatars(self) -> Sequence[str]:
        """Names of the bundled avatars."""
        return self._info.avatars

    @property
    def presets(self) -> Sequence[str]:
        """Names of the presets."""
        return self._info.presets

    def samples_needed(self, frames: int) -> int:
        """Return how many samples the first `frames` frames of an utterance need."""
        return self._info.lookahead.samples_needed(frames)

    def decode_image(self, data: bytes) -> RgbImage:
        """Decode an image file to (H, W, 3), in the server's process. Raises PortraitError."""
        return self._info.image_decoder(data)

    def register(self, avatar: str, image: RgbImage) -> Sequence[str]:
        """Register an avatar and keep its snapshot."""

        def attempt(worker: EngineWorker) -> tuple[Sequence[str], bytes]:
            notes = self._supervisor.run(worker, "register", avatar, image)
            return notes, self._supervisor.run(worker, "snapshot_avatar", avatar)

        notes, self._supervisor.avatars[avatar] = self._supervisor.retry("register", attempt)
        return tuple(notes)

    def unregister(self, avatar: str) -> None:
        """Remove an avatar and its snapshot."""
        self._supervisor.avatars.pop(avatar, None)
        self.call("unregister", avatar)

    def open(self, avatar: str, preset: str) -> OpenedStream:
        """Create a stream together with its idle animation."""
        opened: OpenedStream = self.call("open", avatar, preset)
        self._keep_avatar(avatar)
        # A copy: these frames stay as long as the session, and would hold their slot, and all memory of a process that died.
        return replace(opened, idle=opened.idle.copy())

    def create_stream(self, avatar: str, preset: str, seed: int) -> Stream:
        """Create a stream without idle animation."""
        stream: Stream = self.call("create_stream", avatar, preset, seed)
        self._keep_avatar(avatar)
        return stream

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        """Generate a batch once: after a restart it may be too late for it."""
        supervisor, begin = self._supervisor, time.monotonic()
        try:
            results: list[WindowResult] = supervisor.run(
                supervisor.running_worker(), "generate", list(requests)
            )
        except WorkerDiedError as error:
            supervisor.restart(error)
            raise EngineLostError(f"{error}; it has been started again") from error
        supervisor.record_frame_time((time.monotonic() - begin) / sum(request.frames for request in requests))
        self._last_request = requests[0]
        return results

    def check(self) -> None:
        """Make sure that the process answers; a new one generates a window, so that no session waits for lazy initialisation."""
        before = self.health.restarts
        self.call(COUNT_STREAMS)
        if self.health.restarts != before and self._last_request is not None:
            self.call("generate", [self._last_request])

    def call(self, method: str, *arguments: object) -> Any:
        """Run a method of the engine in its process, and again where the process died meanwhile.

        Raises:
            EngineLostError: The process died at every attempt.
        """
        return self._supervisor.retry(method, lambda worker: self._supervisor.run(worker, method, *arguments))

    def _keep_avatar(self, avatar: str) -> None:
        """Keep the snapshot of a bundled avatar: restoring it takes less time than preparing it again."""
        if avatar not in self._supervisor.avatars:
            self._supervisor.avatars[avatar] = self.call("snapshot_avatar", avatar)

    @property
    def _info(self) -> EngineFacts:
        facts = self._supervisor.facts
        if facts is None:
            raise RuntimeError("expected an engine that was started; call start() first")
        return facts
