"""Stub engines that a test blocks, or that raise given errors."""

import threading

from lipstream_server.engines.base import WindowRequest, WindowResult
from lipstream_server.engines.stub import StubEngine, StubStream


class Gated(StubEngine):
    """An engine that generates as many windows as it is allowed to between `close_gate` and `open_gate`."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = threading.Semaphore(100_000)

    def generate(self, requests: list[WindowRequest]) -> list[WindowResult]:
        self.allowed.acquire(timeout=20)
        return super().generate(requests)

    def close_gate(self) -> None:
        self.allowed = threading.Semaphore(0)

    def open_gate(self) -> None:
        self.allowed.release(100_000)


class Failing(StubEngine):
    """An engine that raises each of the given errors once, and then works."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    def create_stream(self, avatar: str, preset: str, seed: int) -> StubStream:
        if seed and self.errors:
            raise self.errors.pop(0)
        return super().create_stream(avatar, preset, seed)
