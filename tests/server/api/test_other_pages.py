"""Refused requests: foreign origins and host names, wrong keys, endless headers, against a real server."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest
from keyed_server import AVATARS, keyed
from live_server import (
    CALM,
    ask,
    connected,
    get,
    running,
)
from rest_client import CLIPS
from websockets.exceptions import InvalidStatus

from lipstream_server.config.settings import AccessSettings
from lipstream_server.protocol import SUBPROTOCOL, SessionReady, SessionStart


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def test_foreign_origins_are_refused_unless_they_are_allowed(data: Path) -> None:
    allowed = "https://app.example"
    settings = CALM.replace(access=AccessSettings(allowed_origins=(allowed,)))
    async with running(settings=settings) as address:
        for origin in (f"http://{address}", f"https://{address}", allowed, f"HTTP://{address}"):
            async with connected(address, SessionStart(), origin=origin) as client:
                assert isinstance(client.received[0], SessionReady)
            assert (await ask(address, "GET", AVATARS, origin=origin))[0] == 200
        port = address.partition(":")[2]
        for origin in (
            "http://evil.example",
            "null",
            "http://127.0.0.1",
            f"http://{address}.evil.example",
            f"http://evil.example@{address}",
            f"http://localhost:{port}",
            f"http://127.0.0.1:{port}1",
            "https://app.example.evil.example",
            "http://app.example",
            f"file://{address}",
            address,
        ):
            with pytest.raises(InvalidStatus, match="403"):
                async with connected(address, origin=origin, subprotocols=[SUBPROTOCOL]):
                    pass
            status, headers, body = await ask(address, "POST", CLIPS, origin=origin)
            assert (status, json.loads(body)["code"]) == (403, "origin_refused")
            assert "access-control-allow-origin" not in headers
        _, headers, _ = await ask(address, "GET", AVATARS, origin=allowed)
        assert headers["access-control-allow-origin"] == allowed
        preflight = {"origin": allowed, "access_control_request_method": "POST"}
        preflight["access_control_request_headers"] = "authorization"
        status, headers, _ = await ask(address, "OPTIONS", CLIPS, **preflight)
        assert (status, headers["access-control-allow-origin"]) == (200, allowed)
        assert "access-control-allow-credentials" not in headers


async def test_cors_is_off_by_default() -> None:
    async with running() as address:
        _, headers, _ = await ask(address, "GET", AVATARS, origin=f"http://{address}")
        assert not [name for name in headers if name.startswith("access-control")]


async def test_foreign_host_names_are_refused_without_keys() -> None:
    settings = CALM.replace(access=AccessSettings(allowed_hosts=("lipstream.example",)))
    async with running(settings=settings) as address:
        port = address.partition(":")[2]
        for host in (
            f"127.0.0.1:{port}",
            "localhost",
            f"LOCALHOST:{port}",
            "[::1]:80",
            "10.0.0.1",
            "lipstream.example:80",
        ):
            assert (await ask(address, "GET", AVATARS, host=host))[0] == 200
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "x",
        ):
            status, _, body = await ask(address, "GET", AVATARS, host=host)
            assert (status, json.loads(body)["code"]) == (421, "host_refused")
            assert (await ask(address, "GET", "/healthz", host=host))[0] == 200  # probes of machines
            with pytest.raises(InvalidStatus, match="421"):
                async with connected(address, additional_headers={"Host": host}):
                    pass


async def test_wrong_keys_cost_little_and_change_nothing(data: Path) -> None:
    async with keyed(data) as server:
        wrong = [server.ask("GET", AVATARS, f"ls_{number}") for number in range(200)]
        assert {status for status, _, _ in await asyncio.gather(*wrong)} == {401}
        assert (await server.ask("GET", AVATARS))[0] == 200


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"X-Y: 1\r\n"),
        (b"GET / HTTP/1.1\r\nX: ", b"aaaaaaaa"),
        (b"GET /", b"aaaaaaaa"),
        (b"POST /v1/clips HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"aaaaaaaa"),
        (b"POST /v1/clips HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X-Y: 1\r\n"),
        (b"POST /v1/clips HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"aaaaaaaa"),
    ],
)
async def test_endless_headers_are_cut_off_before_they_fill_the_memory(
    begin: bytes, more: bytes, data: Path
) -> None:
    async with keyed(data) as server:
        _, writer = await asyncio.open_connection(*server.address.split(":"))
        writer.write(begin)
        sent = 0
        with contextlib.suppress(OSError):
            async with asyncio.timeout(60):
                while sent < 64 << 20:
                    writer.write(more * (1 << 13))
                    await writer.drain()
                    sent += len(more) << 13
        assert sent < 16 << 20  # most of it in the buffers on the way
        writer.close()
        assert (await get(server.address, "/readyz"))[0] == 200
