"""Stub engines that fail in a process of their own; factories are module functions, so that they can be pickled."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from lipstream_server.engines.base import OutOfMemoryError, WindowRequest, WindowResult
from lipstream_server.engines.stub import StubEngine, StubStream


def calm() -> StubEngine:
    """Return an engine whose windows take as long as a small model's."""
    return StubEngine(seconds_per_window=0.05)


def dying() -> StubEngine:
    """Return an engine that dies at its first window of speech."""
    return Dying()


def poisoned() -> StubEngine:
    """Return an engine that dies at a window of speech of the avatar grey; warm-up is silent."""
    return Poisoned()


def narrow() -> StubEngine:
    """Return an engine with memory for a batch of one."""
    return Narrow()


def raising() -> StubEngine:
    """Fail to load."""
    raise LoadError("expected a model, got none; bring one")


class LoadError(ValueError):
    exit_code = 2


class Dying(StubEngine):
    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        if any(request.samples.any() for request in requests):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests)


class Poisoned(StubEngine):
    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        for request in requests:
            assert isinstance(request.stream, StubStream)
            if request.stream.avatar == "grey" and request.samples.any():
                os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests)


class Narrow(StubEngine):
    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        if len(requests) > 1:
            raise OutOfMemoryError(f"no room for {len(requests)} windows")
        return super().generate(requests)


def gone(pids: Sequence[int], seconds: float = 60.0) -> bool:
    """Return whether these processes have ended within that time."""
    end = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _runs(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
