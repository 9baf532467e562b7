"""API keys, their limits, and owners of avatars and clips, against a real server."""

import json
from pathlib import Path

import pytest
from keyed_server import AVATARS, PICTURE, bearer, keyed, keys, refused_connection
from live_server import (
    CALM,
    ask,
    connected,
    get,
    running,
)
from pydantic import SecretStr
from rest_client import CLIPS, form, wav
from websockets.exceptions import InvalidStatus

from lipstream_client.cli import run
from lipstream_server.api.token_routes import TOKENS
from lipstream_server.config.settings import AccessSettings
from lipstream_server.protocol import (
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
    CloseCode,
    Error,
    SessionReady,
    SessionStart,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize(
    "path", [AVATARS, f"{AVATARS}/amber", CLIPS, TOKENS, "/metrics", "/v1/anything", "//v1/avatars"]
)
async def test_requests_without_a_key_are_refused_with_a_hint(path: str, data: Path) -> None:
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


async def test_probes_need_no_key_and_everything_else_does(data: Path) -> None:
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


async def test_websocket_without_a_key_is_refused_by_status_or_by_message(data: Path) -> None:
    async with keyed(data) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(server.address):
                pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["code"] == "key_missing"
        for offered in (
            [SUBPROTOCOL],
            [SUBPROTOCOL, TOKEN_SUBPROTOCOL + "eyJ0.eyJ1.x"],
            [SUBPROTOCOL, TOKEN_SUBPROTOCOL + server.key],
        ):
            error, closing, code = await refused_connection(server.address, subprotocols=offered)
            assert (error.code, error.fatal, closing.reason, code) == (
                "unauthorized",
                True,
                "unauthorized",
                4401,
            )


async def test_new_key_works_at_once_and_its_removal_ends_its_sessions(data: Path) -> None:
    async with keyed(data) as server:
        (second,) = keys(data, "add", "second")
        assert (await server.ask("GET", AVATARS, second))[0] == 200
        async with connected(server.address, SessionStart(), **bearer(second)) as client:
            keys(data, "rm", "second")
            assert await client.to_the_end() == CloseCode.UNAUTHORIZED
        assert (await server.ask("GET", AVATARS, second))[0] == 401
        assert (await server.ask("GET", AVATARS))[0] == 200


async def test_key_of_the_settings_is_accepted(data: Path) -> None:
    secret = "a-key-that-stands-in-the-settings"
    settings = CALM.replace(access=AccessSettings(key=SecretStr(secret)))
    async with running(settings=settings, data=data, keyed=True) as address:
        assert (await ask(address, "GET", AVATARS, authorization=f"Bearer {secret}"))[0] == 200


def test_keys_command_shows_a_key_once_and_stores_its_digest(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (key,) = keys(data, "add", "first", "--sessions", "2", "--requests-per-minute", "60")
    (listed,) = keys(data, "list")
    assert listed.split("\t")[::2] == ["first", "2 sessions, 60 per minute"]
    assert all(key.encode() not in path.read_bytes() for path in data.rglob("*") if path.is_file())
    for words, said in (
        (["add", "first"], "there is a key 'first' already"),
        (["add", " "], "expected a name for the key"),
        (["rm", "other"], "there is no key 'other', only first"),
        (["add", "second", "--sessions", "0"], "sessions"),
    ):
        assert run(["keys", *words, "--data", str(data)]) == 2
        assert said in capsys.readouterr().err
    assert keys(data, "rm", "first") == keys(data, "list") == []


# Limits


async def test_session_limit_of_a_key_is_enforced(data: Path) -> None:
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


async def test_request_rate_limit_of_a_key_is_enforced(data: Path) -> None:
    async with keyed(data, "--requests-per-minute", "3") as server:
        assert [(await server.ask("GET", AVATARS))[0] for _ in range(3)] == [200] * 3
        status, headers, said = await server.ask("GET", AVATARS)
        assert (status, said["code"]) == (429, "too_many_requests")
        assert 1 <= int(headers["retry-after"]) <= 20
        more = bearer(server.key) | {"subprotocols": [SUBPROTOCOL]}
        error, _, code = await refused_connection(server.address, **more)
        assert (error.code, code) == ("busy", CloseCode.BUSY)
        with pytest.raises(InvalidStatus, match="429"):
            async with connected(server.address, **bearer(server.key)):
                pass


async def test_unfinished_clip_limit_of_a_key_is_enforced(data: Path) -> None:
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


async def test_key_sees_its_own_avatars_and_clips_only(data: Path) -> None:
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


async def test_idempotency_keys_of_two_api_keys_are_independent(data: Path) -> None:
    async with keyed(data) as server:
        (other,) = keys(data, "add", "other")
        body, kind = form(audio=wav(1))
        ids = [
            (await server.ask("POST", CLIPS, key, body, content_type=kind, idempotency_key="same"))[2]["id"]
            for key in (server.key, other, server.key)
        ]
        assert ids[0] == ids[2] != ids[1]
