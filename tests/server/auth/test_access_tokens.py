"""Session tokens, which browsers show instead of API keys, against a real server."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
from keyed_server import AVATARS, QUICK, bearer, browser, keyed, keys, refused_connection
from live_server import ask, connected, running

from lipstream_server.api.token_routes import TOKENS
from lipstream_server.protocol import (
    SUBPROTOCOL,
    CloseCode,
    Error,
    SessionReady,
    SessionStart,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def test_token_opens_sessions_of_its_avatar_and_nothing_else(data: Path) -> None:
    async with keyed(data) as server:
        answer = await server.token(avatar="green", seconds=0.6)
        assert stat.S_IMODE((data / "token_secret").stat().st_mode) == 0o600
        async with connected(server.address, SessionStart(), **browser(answer["token"])) as client:
            assert client.socket.subprotocol == SUBPROTOCOL
            ready = client.received[0]
            assert isinstance(ready, SessionReady)
            assert (ready.avatar, ready.limits.max_seconds) == ("green", 0.6)
            assert await client.to_the_end() == CloseCode.IDLE
            assert client.kinds()[-1] == "session.closing"
        async with connected(
            server.address, SessionStart(avatar="red"), **browser(answer["token"])
        ) as client:
            error = client.received[0]
            assert isinstance(error, Error)
            assert "this token is for avatar 'green', not for 'red'" in error.message
            assert await client.to_the_end() == CloseCode.UNAUTHORIZED
        status, _, problem = await server.ask("GET", AVATARS, answer["token"])
        assert (status, problem["code"]) == (401, "key_wrong")
        assert "a token opens sessions and nothing else" in problem["detail"]


async def test_token_ends_with_its_expiry_or_key_and_outlives_a_restart(data: Path) -> None:
    async with keyed(data, "--sessions", "1") as server:
        short, long = await server.token(connect_seconds=0.01), await server.token()
        await asyncio.sleep(1.1)  # expiry is rounded up to whole seconds
        error, _, code = await refused_connection(server.address, **browser(short["token"]))
        assert ("begin a session is over" in error.message, code) == (True, 4401)
        async with (
            connected(server.address, SessionStart(), **bearer(server.key)),
            connected(server.address, SessionStart(), **browser(long["token"])) as client,
        ):
            assert await client.to_the_end() == CloseCode.BUSY  # it counts as its key's
    async with running(settings=QUICK, data=data, keyed=True) as address:
        async with connected(address, SessionStart(), **browser(long["token"])) as client:
            assert isinstance(client.received[0], SessionReady)
            keys(data, "rm", "first")
            assert await client.to_the_end() == CloseCode.UNAUTHORIZED
        error, _, _ = await refused_connection(address, **browser(long["token"]))
        assert "the key that this token was made with is not valid any more" in error.message


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"avatar": "nobody"}, 404, "unknown_avatar"),
        ({"seconds": 1e9}, 422, "too_long"),
        ({"connect_seconds": 1e9}, 422, "too_long"),
        ({"seconds": -1}, 400, "bad_request"),
        ({"second": 1}, 400, "bad_request"),
    ],
)
async def test_invalid_token_request_is_refused(asked: dict, status: int, code: str, data: Path) -> None:
    async with keyed(data) as server:
        answer = await server.token(**asked)
        assert (answer["status"], answer["code"]) == (status, code)


async def test_server_without_keys_issues_and_enforces_tokens() -> None:
    async with running() as address:
        body = json.dumps({"avatar": "green"}).encode()
        status, _, content = await ask(address, "POST", TOKENS, body, content_type="application/json")
        assert status == 201
        token = json.loads(content)["token"]
        async with connected(address, SessionStart(), **browser(token)) as client:
            ready = client.received[0]
            assert isinstance(ready, SessionReady)
            assert ready.avatar == "green"
        error, _, code = await refused_connection(address, **browser(token[:-9]))
        assert (error.code, code) == ("unauthorized", CloseCode.UNAUTHORIZED)
