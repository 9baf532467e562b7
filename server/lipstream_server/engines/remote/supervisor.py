"""The life cycle of an engine's process: started, called within timeouts, killed, and restarted with all avatars."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...config.live_settings import EngineSettings
from ..base import EngineGoneError, EngineHealth, EngineLostError
from ..interface import RestorableEngine
from .messages import EngineFacts
from .restart_policy import RestartPolicy
from .rpc_server import COUNT_STREAMS
from .streams import RemoteStreams
from .worker import EngineWorker, WorkerDiedError

log = logging.getLogger(__name__)
_NEWEST_WEIGHT = 0.2  # of a new measurement in the moving average of the time that a frame takes


class EngineSupervisor:
    """Keeps one worker running. All but `close` and reading attributes is for one thread.

    Attributes:
        health: Health of the process.
        facts: Facts of the engine; None before it has loaded.
        worker: The process; None before `start`.
        avatars: Snapshots of all avatars, which every new process gets.
        call_timeout: Timeout in seconds of the call in progress; 0 without one.
    """

    def __init__(
        self, make: Callable[[], RestorableEngine], settings: EngineSettings, preload: Sequence[str]
    ) -> None:
        self.health = EngineHealth()
        self.facts: EngineFacts | None = None
        self.worker: EngineWorker | None = None
        self.avatars: dict[str, bytes] = {}
        self.call_timeout = 0.0
        self._make, self._settings, self._preload = make, settings, preload
        self._policy = RestartPolicy(settings.max_restarts, settings.restart_period_seconds)
        self._streams = RemoteStreams()
        self._closing = threading.Event()
        self._worker_lock = threading.Lock()  # `close` must not miss a worker that is just being started
        self._seconds_per_frame = 0.0  # of this process; 0 before its first window

    def start(self) -> EngineWorker:
        """Start a process and wait until its engine has loaded. Raises WorkerDiedError, and what loading raised."""
        generation = 1
        if self.worker is not None:
            generation = self.worker.generation + 1
            self.worker.end()
        self._seconds_per_frame = 0.0
        worker = EngineWorker.start(self._make, generation, self._preload, self._streams)
        with self._worker_lock:
            self.worker = worker
            if self._closing.is_set():
                worker.kill()
        self.facts = worker.receive_facts(self._settings.load_timeout_seconds)
        return worker

    def close(self) -> None:
        """Kill the process for good. Any thread may call it."""
        self._closing.set()
        with self._worker_lock:
            if self.worker is not None:
                self.worker.kill()

    def running_worker(self) -> EngineWorker:
        """Return the process. Raises EngineGoneError where there is none any more."""
        if self._closing.is_set() or self.health.state == "lost":
            raise EngineGoneError("there is no engine any more; restart the server")
        if self.worker is None:
            raise RuntimeError("expected an engine that was started; call start() first")
        return self.worker

    def retry(self, method: str, attempt: Callable[[EngineWorker], Any]) -> Any:
        """Return the result of an attempt, which is repeated on a new process where the old one died meanwhile.

        Raises:
            EngineLostError: The process died at every attempt.
        """
        cause: WorkerDiedError | None = None
        for _ in range(self._settings.max_attempts):
            worker = self.running_worker()
            try:
                return attempt(worker)
            except WorkerDiedError as error:
                cause = error
                self.restart(error)
        raise EngineLostError(
            f"{method} was tried {self._settings.max_attempts} times, and each time the engine was lost: {cause}"
        )

    def run(self, worker: EngineWorker, method: str, *arguments: object) -> Any:
        """Run a method in a process, once. Raises WorkerDiedError, and what the method raises."""
        self.call_timeout = self._timeout(method, arguments)
        try:
            return worker.call(method, arguments, self.call_timeout)
        finally:
            self.call_timeout = 0.0

    def record_frame_time(self, seconds: float) -> None:
        """Adapt the timeout of windows to the time that a frame took."""
        before = self._seconds_per_frame or seconds
        self._seconds_per_frame = before + _NEWEST_WEIGHT * (seconds - before)

    def restart(self, cause: WorkerDiedError) -> None:
        """Start the next process with all avatars. Raises EngineGoneError where too many have died."""
        if self._closing.is_set():
            raise EngineGoneError("the engine has been closed")
        begin = time.monotonic()
        self.health = replace(self.health, state="restarting")
        while True:
            log.error("%s; it is started again", cause)
            self._wait_before_restart(self._policy.record_death(time.monotonic()))
            try:
                worker = self.start()
                for avatar, snapshot in self.avatars.items():
                    worker.call("restore_avatar", (avatar, snapshot), self._settings.call_timeout_seconds)
                break
            except WorkerDiedError as error:
                cause = error
            except EngineGoneError:
                raise
            except Exception as error:
                log.exception("the engine could not be loaded again")
                cause = WorkerDiedError(f"the engine could not be loaded: {error}")
        self.health = EngineHealth("running", self.health.restarts + 1)
        log.warning("the engine is back after %.2f s", time.monotonic() - begin)

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

    def _wait_before_restart(self, seconds: float | None) -> None:
        if seconds is None:
            self.health = replace(self.health, state="lost")
            settings = self._settings
            raise EngineGoneError(
                f"the engine was lost more than {settings.max_restarts} times within {settings.restart_period_seconds:g} s and is "
                "not started again: look into the log above, then restart the server"
            )
        if self._closing.wait(seconds):
            raise EngineGoneError("the engine has been closed")
