"""Who may come in: keys and their limits, tokens, other pages, other names, against a real server."""

import asyncio
import contextlib
import io
import json
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr
from websockets.exceptions import InvalidStatus

from lipstream_client.command import COMMANDS, run
from lipstream_client.errors import RefusedError
from lipstream_client.rest import RestClient
from lipstream_client.stream_client import StreamClient
from lipstream_server.demo import ready
from lipstream_server.keys_command import KeysMissingError, asks_for_keys
from lipstream_server.protocol import (
    PATH,
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
    CloseCode,
    Error,
    SessionClosing,
    SessionReady,
    SessionStart,
)
from lipstream_server.serve_settings import ServeSettings, loopback
from lipstream_server.settings import AccessSettings, ServerSettings
from live_server import CALM, ask, bind, connected, get, running, until
from portraits import encoded
from rest_client import CLIPS, form, wav

PICTURE = encoded(Image.new("RGB", (8, 8), "teal"), "PNG")
AVATARS, TOKENS = "/v1/avatars", "/v1/tokens"
QUICK = replace(CALM, access=AccessSettings(fresh_seconds=0.1))


@dataclass(frozen=True)
class Keyed:
    """A server that asks for keys, and the commands on its data."""

    address: str
    data: Path
    key: str

    async def ask(
        self, method: str, path: str, key: str | None = None, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        headers |= {"authorization": f"Bearer {key or self.key}"}
        status, answered, content = await ask(self.address, method, path, body, **headers)
        kind = answered.get("content-type", "")
        return status, answered, json.loads(content) if "json" in kind else content

    async def post(
        self, path: str, key: str | None = None, **parts: bytes | str
    ) -> tuple[int, dict[str, str], Any]:
        body, kind = form(**parts)
        return await self.ask("POST", path, key, body, content_type=kind)

    async def token(self, **asked: object) -> Any:
        body = json.dumps(asked).encode()
        return (await self.ask("POST", TOKENS, body=body, content_type="application/json"))[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def keys(data: Path, *words: str) -> list[str]:
    """What `lipstream keys` prints, typed while a server may run."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run(["keys", words[0], *words[1:], "--data", str(data)], COMMANDS) == 0
    return out.getvalue().splitlines()


@asynccontextmanager
async def keyed(data: Path, *limits: str, settings: ServerSettings = QUICK) -> AsyncIterator[Keyed]:
    (key,) = keys(data, "add", "first", *limits)
    async with running(settings=settings, data=data, keyed=True) as address:
        yield Keyed(address, data, key)


def bearer(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def browser(token: str) -> dict[str, Any]:
    return {"subprotocols": [SUBPROTOCOL, TOKEN_SUBPROTOCOL + token]}


async def farewell(address: str, **more: Any) -> tuple[Error, SessionClosing, int | None]:
    """What a client that offers the protocol is told."""
    async with connected(address, **more) as client:
        code = await client.to_the_end()
    error, closing = client.received
    assert isinstance(error, Error)
    assert isinstance(closing, SessionClosing)
    return error, closing, code


# Keys


@pytest.mark.parametrize(
    "path", [AVATARS, f"{AVATARS}/amber", CLIPS, TOKENS, "/metrics", "/v1/anything", "//v1/avatars"]
)
async def test_without_a_key_nothing_is_told_but_how_to_get_one(path: str, data: Path) -> None:
    async with keyed(data) as server:
        for wrong, code in (({}, "key_missing"), ({"authorization": "Bearer ls_wrong"}, "key_wrong")):
            status, headers, body = await ask(server.address, "GET", path, **wrong)
            assert (status, json.loads(body)["code"]) == (401, code)
            assert headers["www-authenticate"].startswith('Bearer realm="lipstream"')
            assert headers["content-type"] == "application/problem+json"
        for odd in (
            "Basic bHM=",
            f"Bearer  {server.key}x",
            server.key,
            "Bearer",
            "Bearer " + "x" * 5000,
            "Bearer \xe9",
        ):
            assert (await ask(server.address, "GET", path, authorization=odd))[0] == 401


async def test_probes_and_the_page_need_no_key_and_a_key_opens_the_rest(data: Path) -> None:
    async with keyed(data) as server:
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (await get(server.address, path))[0] == 200
        status, _, said = await server.ask("GET", AVATARS)
        assert (status, bool(said["avatars"])) == (200, True)
        assert (await ask(server.address, "GET", AVATARS, authorization=f"bearer {server.key}"))[0] == 200
        assert (
            await ask(server.address, "GET", AVATARS, x_forwarded_for="127.0.0.1", x_real_ip="127.0.0.1")
        )[0] == 401
        async with connected(server.address, SessionStart(), **bearer(server.key)) as client:
            assert isinstance(client.received[0], SessionReady)


async def test_a_socket_without_a_key_is_refused_before_it_is_one_or_in_its_own_protocol(data: Path) -> None:
    async with keyed(data) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(server.address):
                pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["code"] == "key_missing"
        for offered in (
            [SUBPROTOCOL],
            [SUBPROTOCOL, TOKEN_SUBPROTOCOL + "lst_x.y"],
            [SUBPROTOCOL, TOKEN_SUBPROTOCOL + server.key],
        ):
            error, closing, code = await farewell(server.address, subprotocols=offered)
            assert (error.code, error.fatal, closing.reason, code) == (
                "unauthorized",
                True,
                "unauthorized",
                4401,
            )


async def test_a_key_works_at_once_and_its_removal_ends_its_sessions(data: Path) -> None:
    async with keyed(data) as server:
        (second,) = keys(data, "add", "second")
        assert (await server.ask("GET", AVATARS, second))[0] == 200
        async with connected(server.address, SessionStart(), **bearer(second)) as client:
            keys(data, "rm", "second")
            assert await client.to_the_end() == CloseCode.UNAUTHORIZED
        assert (await server.ask("GET", AVATARS, second))[0] == 401
        assert (await server.ask("GET", AVATARS))[0] == 200


async def test_the_key_of_the_settings_is_one_too(data: Path) -> None:
    secret = "a-key-that-stands-in-the-settings"
    settings = replace(CALM, access=AccessSettings(key=SecretStr(secret)))
    async with running(settings=settings, data=data, keyed=True) as address:
        assert (await ask(address, "GET", AVATARS, authorization=f"Bearer {secret}"))[0] == 200


def test_keys_are_kept_hashed_and_told_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (key,) = keys(data, "add", "first", "--sessions", "2", "--requests-per-minute", "60")
    (listed,) = keys(data, "list")
    assert listed.split("\t")[::2] == ["first", "2 sessions, 60 a minute"]
    assert all(key.encode() not in path.read_bytes() for path in data.rglob("*") if path.is_file())
    for words, said in (
        (["add", "first"], "there is a key 'first' already"),
        (["add", " "], "expected a name for the key"),
        (["rm", "other"], "there is no key 'other', only first"),
        (["add", "second", "--sessions", "0"], "sessions"),
    ):
        assert run(["keys", *words, "--data", str(data)], COMMANDS) == 2
        assert said in capsys.readouterr().err
    assert keys(data, "rm", "first") == keys(data, "list") == []


# Limits


async def test_a_key_has_no_more_sessions_than_its_limit(data: Path) -> None:
    async with keyed(data, "--sessions", "1") as server:
        more = bearer(server.key) | {"subprotocols": [SUBPROTOCOL]}
        async with connected(server.address, SessionStart(), **more):
            async with connected(server.address, SessionStart(), **more) as second:
                error = second.received[0]
                assert isinstance(error, Error)
                assert (error.code, error.retry_after) == ("busy", 5.0)
                assert "all 1 sessions of the key 'first' are taken" in error.message
                assert await second.to_the_end() == CloseCode.BUSY
            (other,) = keys(data, "add", "other")
            async with connected(server.address, SessionStart(), **bearer(other)) as third:
                assert isinstance(third.received[0], SessionReady)


async def test_a_key_makes_no_more_requests_a_minute_than_its_limit(data: Path) -> None:
    async with keyed(data, "--requests-per-minute", "3") as server:
        assert [(await server.ask("GET", AVATARS))[0] for _ in range(3)] == [200] * 3
        status, headers, said = await server.ask("GET", AVATARS)
        assert (status, said["code"]) == (429, "too_many_requests")
        assert 1 <= int(headers["retry-after"]) <= 20
        more = bearer(server.key) | {"subprotocols": [SUBPROTOCOL]}
        error, _, code = await farewell(server.address, **more)
        assert (error.code, code) == ("busy", CloseCode.BUSY)
        with pytest.raises(InvalidStatus, match="429"):
            async with connected(server.address, **bearer(server.key)):
                pass


async def test_a_key_has_no_more_unfinished_clips_than_its_limit(data: Path) -> None:
    async with keyed(data, "--clips", "1") as server:
        (other,) = keys(data, "add", "other")
        first = await server.post(CLIPS, audio=wav(60))
        assert first[0] == 202
        status, headers, said = await server.post(CLIPS, audio=wav(1))
        assert (status, said["code"], headers["retry-after"]) == (429, "too_many_clips", "5")
        assert (await server.post(CLIPS, other, audio=wav(1)))[0] == 202
        await server.ask("POST", f"{CLIPS}/{first[2]['id']}/cancel")
        assert (await server.post(CLIPS, audio=wav(1)))[0] == 202


# Owners


async def test_a_key_sees_what_came_with_it_and_nothing_of_others(data: Path) -> None:
    async with keyed(data) as server:
        (other,) = keys(data, "add", "other")
        _, _, mine = await server.post(AVATARS, image=PICTURE)
        status, _, theirs = await server.post(AVATARS, other, image=PICTURE)
        assert (status, mine["id"] != theirs["id"]) == (201, True)
        clip = (await server.post(CLIPS, audio=wav(1), avatar=mine["id"]))[2]["id"]
        for path in (f"{AVATARS}/{mine['id']}", f"{AVATARS}/{mine['id']}/preview", f"{CLIPS}/{clip}"):
            assert (await server.ask("GET", path))[0] == 200
            assert (await server.ask("GET", path, other))[0] == 404
        for method, path in (
            ("GET", f"{CLIPS}/{clip}/events"),
            ("GET", f"{CLIPS}/{clip}/video"),
            ("POST", f"{CLIPS}/{clip}/cancel"),
            ("DELETE", f"{CLIPS}/{clip}"),
            ("DELETE", f"{AVATARS}/{mine['id']}"),
        ):
            assert (await server.ask(method, path, other))[0] == 404
        assert (await server.post(CLIPS, other, audio=wav(1), avatar=mine["id"]))[0] == 404
        listed = [each["id"] for each in (await server.ask("GET", AVATARS, other))[2]["avatars"]]
        assert theirs["id"] in listed
        assert mine["id"] not in listed
        assert (await server.ask("GET", CLIPS, other))[2]["clips"] == []
        async with connected(server.address, SessionStart(avatar=mine["id"]), **bearer(other)) as client:
            assert await client.to_the_end() == CloseCode.UNKNOWN


async def test_the_same_idempotency_key_of_two_keys_makes_two_clips(data: Path) -> None:
    async with keyed(data) as server:
        (other,) = keys(data, "add", "other")
        body, kind = form(audio=wav(1))
        ids = [
            (await server.ask("POST", CLIPS, key, body, content_type=kind, idempotency_key="same"))[2]["id"]
            for key in (server.key, other, server.key)
        ]
        assert ids[0] == ids[2] != ids[1]


# Tokens


async def test_a_token_opens_sessions_of_its_avatar_for_its_time_and_nothing_else(data: Path) -> None:
    async with keyed(data) as server:
        said = await server.token(avatar="green", seconds=0.6)
        assert stat.S_IMODE((data / "token_secret").stat().st_mode) == 0o600
        async with connected(server.address, SessionStart(), **browser(said["token"])) as client:
            assert client.socket.subprotocol == SUBPROTOCOL
            ready = client.received[0]
            assert isinstance(ready, SessionReady)
            assert (ready.avatar, ready.limits.max_seconds) == ("green", 0.6)
            assert await client.to_the_end() == CloseCode.IDLE
            assert client.kinds()[-1] == "session.closing"
        async with connected(server.address, SessionStart(avatar="red"), **browser(said["token"])) as client:
            error = client.received[0]
            assert isinstance(error, Error)
            assert "this token is for avatar 'green', not for 'red'" in error.message
            assert await client.to_the_end() == CloseCode.UNAUTHORIZED
        status, _, problem = await server.ask("GET", AVATARS, said["token"])
        assert (status, problem["code"]) == (401, "key_wrong")
        assert "a token opens sessions and nothing else" in problem["detail"]


async def test_a_token_ends_with_its_time_its_key_and_outlives_the_server(data: Path) -> None:
    async with keyed(data, "--sessions", "1") as server:
        short, long = await server.token(connect_seconds=0.01), await server.token()
        await asyncio.sleep(0.02)
        error, _, code = await farewell(server.address, **browser(short["token"]))
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
        error, _, _ = await farewell(address, **browser(long["token"]))
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
async def test_a_token_that_cannot_be_is_refused(asked: dict, status: int, code: str, data: Path) -> None:
    async with keyed(data) as server:
        said = await server.token(**asked)
        assert (said["status"], said["code"]) == (status, code)


async def test_a_server_without_keys_gives_tokens_too_and_holds_a_page_to_them() -> None:
    async with running() as address:
        body = json.dumps({"avatar": "green"}).encode()
        status, _, content = await ask(address, "POST", TOKENS, body, content_type="application/json")
        assert status == 201
        token = json.loads(content)["token"]
        async with connected(address, SessionStart(), **browser(token)) as client:
            ready = client.received[0]
            assert isinstance(ready, SessionReady)
            assert ready.avatar == "green"
        error, _, code = await farewell(address, **browser(token[:-9]))
        assert (error.code, code) == ("unauthorized", CloseCode.UNAUTHORIZED)


# Browsers


async def test_pages_of_other_hosts_may_not_use_a_server_unless_they_are_allowed(data: Path) -> None:
    allowed = "https://app.example"
    settings = replace(CALM, access=AccessSettings(origins=(allowed,)))
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


async def test_there_is_no_cors_unless_it_is_asked_for() -> None:
    async with running() as address:
        _, headers, _ = await ask(address, "GET", AVATARS, origin=f"http://{address}")
        assert not [name for name in headers if name.startswith("access-control")]


async def test_a_server_without_keys_cannot_be_reached_under_a_name_of_somebody_else() -> None:
    settings = replace(CALM, access=AccessSettings(hosts=("lipstream.example",)))
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
async def test_headers_without_end_are_cut_off_before_they_fill_the_memory(
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


# The clients


async def typed(*words: str, **environment: str) -> tuple[int | None, str]:
    """The exit code of `lipstream` with these arguments, and what it prints."""
    command = (sys.executable, "-m", "lipstream_client", *words)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=STDOUT, env=os.environ | environment
    )
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_the_clients_come_in_with_a_key_and_are_told_without_one(data: Path, tmp_path: Path) -> None:
    speech, out = tmp_path / "speech.wav", str(tmp_path / "out.mp4")
    speech.write_bytes(wav(0.4))
    large = tmp_path / "large.wav"
    large.write_bytes(wav(200))  # 6 MB, which the server does not wait for
    async with keyed(data) as server:
        rest, live = f"http://{server.address}", f"ws://{server.address}"
        commands = (
            ("avatars", "list", "--url", rest),
            ("clips", "create", str(speech), "-o", out, "--url", rest),
            ("stream", str(speech), "--fast", "-o", out, "--url", live),
            ("bench-stream", str(speech), "--url", live),
        )
        for code, _ in await asyncio.gather(*(typed(*words, LIPSTREAM_KEY=server.key) for words in commands)):
            assert code == 0
        assert (await typed(*commands[0], "--key", server.key))[0] == 0
        without = (*commands[:3], ("clips", "create", str(large), "--url", rest))
        for code, said in await asyncio.gather(*(typed(*words) for words in without)):
            assert code == 3
            assert "lipstream keys add NAME" in said
            assert said.count("\n") == 1
        token = await asyncio.to_thread(RestClient(rest, key=server.key).create_token, "green")
        async with StreamClient(live, SessionStart(avatar="green"), key=token) as client:
            assert client.ready is not None
            assert token not in repr(client)
        with pytest.raises(RefusedError, match="unauthorized: this key is not, or not any more") as refused:
            async with StreamClient(live, key="ls_wrong"):
                pass
        assert refused.value.error.fatal


# The command


@asynccontextmanager
async def served(*options: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """`lipstream serve --stub` in a process of its own, and its address."""
    with bind("127.0.0.1", 0) as other:
        port = other.getsockname()[1]
    words = (
        sys.executable,
        "-m",
        "lipstream_client",
        "serve",
        "--stub",
        "--port",
        str(port),
        "--sessions",
        "2",
    )
    process = await asyncio.create_subprocess_exec(*words, *options, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(120):
            yield f"127.0.0.1:{port}", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_server_that_others_can_reach_needs_a_key_or_must_be_said_to_be_open(data: Path) -> None:
    for options in (("--host", "0.0.0.0"), ("--no-open",)):
        async with served("--data", str(data), *options) as (_, process):
            said, _ = await process.communicate()
            assert process.returncode == 2
            for hint in (b"lipstream keys add NAME", b"--open"):
                assert hint in said
            assert said.count(b"\n") == 1
    assert not data.exists()


async def test_a_server_with_keys_asks_for_them_and_writes_none(data: Path) -> None:
    (key,) = keys(data, "add", "first")
    async with served("--data", str(data), "--host", "0.0.0.0") as (address, process):
        await until(lambda: ready(int(address.partition(":")[2])))
        server = Keyed(address, data, key)
        token = (await server.token())["token"]
        async with connected(address, SessionStart(), **browser(token)):
            pass
        assert (await server.ask("GET", AVATARS, "ls_wrong-and-secret"))[0] == 401
        with pytest.raises(InvalidStatus, match="401"):
            async with connected(address, **bearer("ls_wrong-and-secret")):
                pass
        process.send_signal(signal.SIGTERM)
        said = (await process.communicate())[0].decode()
    assert PATH in said
    assert not [secret for secret in (key, token, "wrong-and-secret") if secret in said]


async def test_a_server_of_this_machine_alone_asks_for_keys_where_there_are_some(data: Path) -> None:
    files = data / "lipstream.db"
    settings = ServeSettings(data=data)
    assert not asks_for_keys(settings, local=True)
    assert not files.exists()
    keys(data, "add", "first")
    assert asks_for_keys(settings, local=True)
    assert not asks_for_keys(replace(settings, open=True), local=False)
    assert asks_for_keys(replace(settings, open=False), local=True)
    keys(data, "rm", "first")
    assert not asks_for_keys(settings, local=True)
    with pytest.raises(KeysMissingError):
        asks_for_keys(settings, local=False)
    secret = AccessSettings(key=SecretStr("a-key-that-stands-in-the-settings"))
    assert asks_for_keys(replace(settings, access=secret), local=False)
    for address, local in (
        ("127.0.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
    ):
        assert loopback(address) is local
