"""Answers of `/healthz` and `/readyz`, also of a server whose device loop hangs."""

import asyncio
import json
import threading
from collections.abc import Sequence

import pytest
from live_server import (
    UtteranceEnd,
    connected,
    get,
    running,
    tone,
    until,
)

from lipstream_server.api.app import create_app
from lipstream_server.config.settings import ServerSettings
from lipstream_server.engines.base import WindowRequest, WindowResult
from lipstream_server.engines.stub import StubEngine
from lipstream_server.http.uvicorn_server import bind, build_server
from lipstream_server.protocol import SessionStart


class HangingEngine(StubEngine):
    """An engine that, once `hang` is set, works on a window until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hang, self.go = threading.Event(), threading.Event()

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        if self.hang.is_set():
            self.go.wait()
        return super().generate(requests)


async def probe(address: str, path: str) -> tuple[int, dict[str, str]]:
    status, _, body = await get(address, path)
    return status, json.loads(body)


async def test_hanging_window_is_unhealthy_until_it_ends() -> None:
    engine = HangingEngine()
    settings = ServerSettings(max_sessions=2, hang_timeout_seconds=0.3)
    async with running(engine, settings) as address, connected(address, SessionStart()) as client:
        assert await probe(address, "/healthz") == (200, {"status": "alive"})
        engine.hang.set()
        try:
            await client.send(tone(1.0))
            await client.send(UtteranceEnd())
            await until_status(address, "/healthz", 503)
            status, answer = await probe(address, "/healthz")
            assert (status, answer["status"]) == (503, "dead")
            assert "window has been in work for" in answer["reason"]
            assert (await probe(address, "/readyz"))[1]["status"] == "stuck"
        finally:
            engine.go.set()
        await until_status(address, "/healthz", 200)


async def until_status(address: str, path: str, status: int) -> None:
    async with asyncio.timeout(30):
        while (await get(address, path))[0] != status:
            await asyncio.sleep(0.05)


async def test_full_server_is_alive_and_not_ready() -> None:
    async with running(settings=ServerSettings(max_sessions=1)) as address:
        status, answer = await probe(address, "/readyz")
        assert (status, answer["status"], answer["sessions"], answer["limit"]) == (200, "ready", 0, 1)
        async with connected(address, SessionStart()):
            status, answer = await probe(address, "/readyz")
            assert (status, answer["status"], answer["reason"]) == (503, "full", "all 1 sessions are taken")
            assert (await probe(address, "/healthz"))[0] == 200
        await until_status(address, "/readyz", 200)


@pytest.mark.filterwarnings("default")
async def test_server_whose_model_fails_to_load_becomes_unhealthy() -> None:
    loading = threading.Event()

    def load() -> StubEngine:
        loading.wait()
        raise OSError("no such weights: /secret/path")

    listening = bind("127.0.0.1", 0)
    serving = build_server(create_app(load), "critical")
    task = asyncio.create_task(serving.serve(sockets=[listening]))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    try:
        await until(lambda: serving.started)
        assert (await probe(address, "/readyz"))[1]["status"] == "loading"
        assert (await probe(address, "/healthz"))[0] == 200
        loading.set()
        await until_status(address, "/healthz", 503)
        assert "secret" not in (await probe(address, "/healthz"))[1]["reason"]
    finally:
        loading.set()
        serving.should_exit = True
        await task
        listening.close()
