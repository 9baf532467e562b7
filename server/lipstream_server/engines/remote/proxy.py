"""An engine in a process of its own, which is restarted when it crashes or hangs.

The server keeps snapshots of all avatars and streams, so a stream goes on after a restart as if nothing had happened, only later.
Whoever asked for the window that was lost asks for it again, or for another one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ...config.settings import EngineSettings
from ...media.arrays import RgbImage
from ..base import (
    EngineGoneError,
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
from .restart_policy import RestartPolicy
from .rpc_server import COUNT_STREAMS
from .streams import RemoteStreams
from .worker import EngineWorker, WorkerDiedError

log = logging.getLogger(__name__)
_NEWEST_WEIGHT = 0.2  # of a new measurement in the moving average of the time that a frame takes


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
        self._make, self._preload = make, preload
        self._settings = settings or EngineSettings()
        self._policy = RestartPolicy(self._settings.max_restarts, self._settings.restart_period_seconds)
        self._health = EngineHealth()
        self._facts: EngineFacts | None = None
        self._worker: EngineWorker | None = None
        self._streams = RemoteStreams()
        self._avatars: dict[str, bytes] = {}
        self._closing = threading.Event()
        self._worker_lock = threading.Lock()  # `close` must not miss a worker that is just being started
        self._last_request: WindowRequest | None = None  # that succeeded; it warms up the next process
        self._seconds_per_frame = 0.0  # of this process; 0 before its first window
        self._call_timeout = 0.0

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
        self._start_worker()
        return self

    def close(self) -> None:
        """Kill the process. Any thread may call it."""
        self._closing.set()
        with self._worker_lock:
            if self._worker is not None:
                self._worker.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def health(self) -> EngineHealth:
        """EngineHealth of the process."""
        return self._health

    @property
    def call_timeout(self) -> float:
        """Timeout in seconds of the call in progress; 0 without one."""
        return self._call_timeout

    @property
    def pid(self) -> int | None:
        """Id of the engine's process; None before `start`."""
        return None if self._worker is None else self._worker.process.pid

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
            notes = self._run(worker, "register", avatar, image)
            return notes, self._run(worker, "snapshot_avatar", avatar)

        notes, self._avatars[avatar] = self._retry("register", attempt)
        return tuple(notes)

    def unregister(self, avatar: str) -> None:
        """Remove an avatar and its snapshot."""
        self._avatars.pop(avatar, None)
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
        begin = time.monotonic()
        try:
            results: list[WindowResult] = self._run(self._running_worker(), "generate", list(requests))
        except WorkerDiedError as error:
            self._restart(error)
            raise EngineLostError(f"{error}; it has been started again") from error
        self._measure((time.monotonic() - begin) / sum(request.frames for request in requests))
        self._last_request = requests[0]
        return results

    def check(self) -> None:
        """Make sure that the process answers; a new one generates a window, so that no session waits for lazy initialisation."""
        before = self._health.restarts
        self.call(COUNT_STREAMS)
        if self._health.restarts != before and self._last_request is not None:
            self.call("generate", [self._last_request])

    def call(self, method: str, *arguments: object) -> Any:
        """Run a method of the engine in its process, and again where the process died meanwhile.

        Raises:
            EngineLostError: The process died at every attempt.
        """
        return self._retry(method, lambda worker: self._run(worker, method, *arguments))

    def _retry(self, method: str, attempt: Callable[[EngineWorker], Any]) -> Any:
        cause: WorkerDiedError | None = None
        for _ in range(self._settings.max_attempts):
            worker = self._running_worker()
            try:
                return attempt(worker)
            except WorkerDiedError as error:
                cause = error
                self._restart(error)
        raise EngineLostError(
            f"{method} was tried {self._settings.max_attempts} times, and each time the engine was lost: {cause}"
        )

    def _run(self, worker: EngineWorker, method: str, *arguments: object) -> Any:
        self._call_timeout = self._timeout(method, arguments)
        try:
            return worker.call(method, arguments, self._call_timeout)
        finally:
            self._call_timeout = 0.0

    def _timeout(self, method: str, arguments: Sequence[object]) -> float:
        settings = self._settings
        if method in (COUNT_STREAMS, "device_state"):
            return settings.window_timeout_seconds
        if method != "generate" or not self._seconds_per_frame:
            return settings.call_timeout_seconds
        (requests,) = arguments
        assert isinstance(requests, list)
        frames: int = sum(request.frames for request in requests)
        return max(
            settings.window_timeout_seconds, settings.window_timeout_factor * self._seconds_per_frame * frames
        )

    def _measure(self, seconds: float) -> None:
        before = self._seconds_per_frame or seconds
        self._seconds_per_frame = before + _NEWEST_WEIGHT * (seconds - before)

    def _restart(self, cause: WorkerDiedError) -> None:
        """Start the next process with all avatars. Raises EngineGoneError where too many have died."""
        if self._closing.is_set():
            raise EngineGoneError("the engine has been closed")
        begin = time.monotonic()
        self._health = replace(self._health, state="restarting")
        while True:
            log.error("%s; it is started again", cause)
            self._wait_before_restart(self._policy.record_death(time.monotonic()))
            try:
                worker = self._start_worker()
                for avatar, snapshot in self._avatars.items():
                    worker.call("restore_avatar", (avatar, snapshot), self._settings.call_timeout_seconds)
                break
            except WorkerDiedError as error:
                cause = error
            except EngineGoneError:
                raise
            except Exception as error:
                log.exception("the engine could not be loaded again")
                cause = WorkerDiedError(f"the engine could not be loaded: {error}")
        self._health = EngineHealth("running", self._health.restarts + 1)
        log.warning("the engine is back after %.2f s", time.monotonic() - begin)

    def _wait_before_restart(self, seconds: float | None) -> None:
        if seconds is None:
            self._health = replace(self._health, state="lost")
            settings = self._settings
            raise EngineGoneError(
                f"the engine was lost more than {settings.max_restarts} times within {settings.restart_period_seconds:g} s and is "
                "not started again: look into the log above, then restart the server"
            )
        if self._closing.wait(seconds):
            raise EngineGoneError("the engine has been closed")

    def _start_worker(self) -> EngineWorker:
        generation = 1
        if self._worker is not None:
            generation = self._worker.generation + 1
            self._worker.end()
        self._seconds_per_frame = 0.0
        worker = EngineWorker.start(self._make, generation, self._preload, self._streams)
        with self._worker_lock:
            self._worker = worker
            if self._closing.is_set():
                worker.kill()
        self._facts = worker.receive_facts(self._settings.load_timeout_seconds)
        return worker

    def _running_worker(self) -> EngineWorker:
        if self._closing.is_set() or self._health.state == "lost":
            raise EngineGoneError("there is no engine any more; restart the server")
        if self._worker is None:
            raise RuntimeError("expected an engine that was started; call start() first")
        return self._worker

    def _keep_avatar(self, avatar: str) -> None:
        """Keep the snapshot of a bundled avatar: restoring it takes less time than preparing it again."""
        if avatar not in self._avatars:
            self._avatars[avatar] = self.call("snapshot_avatar", avatar)

    @property
    def _info(self) -> EngineFacts:
        if self._facts is None:
            raise RuntimeError("expected an engine that was started; call start() first")
        return self._facts
