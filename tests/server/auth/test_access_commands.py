"""API keys in the commands of clients and operators, in real processes."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from keyed_server import (
    AVATARS,
    Keyed,
    bearer,
    browser,
    keyed,
    keys,
)
from live_server import bind, connected, until
from pydantic import SecretStr
from rest_client import wav
from websockets.exceptions import InvalidStatus

from lipstream_client.errors import RefusedError
from lipstream_client.rest import RestClient
from lipstream_client.stream_client import StreamClient
from lipstream_server.commands.demo import ready
from lipstream_server.commands.keys import KeysMissingError, requires_keys
from lipstream_server.commands.serve import is_loopback
from lipstream_server.config.serve_settings import ServeSettings
from lipstream_server.config.settings import AccessSettings
from lipstream_server.protocol import PATH, SessionStart


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def run_command(*words: str, **environment: str) -> tuple[int | None, str]:
    """The exit code of `lipstream` with these arguments, and what it prints."""
    command = (sys.executable, "-m", "lipstream_client", *words)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=STDOUT, env=os.environ | environment
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_client_commands_need_a_key_and_say_how_to_get_one(data: Path, tmp_path: Path) -> None:
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
        for code, _ in await asyncio.gather(
            *(run_command(*words, LIPSTREAM_KEY=server.key) for words in commands)
        ):
            assert code == 0
        assert (await run_command(*commands[0], "--key", server.key))[0] == 0
        without = (*commands[:3], ("clips", "create", str(large), "--url", rest))
        for code, output in await asyncio.gather(*(run_command(*words) for words in without)):
            assert code == 3
            assert "lipstream keys add NAME" in output
            assert output.count("\n") == 1
        token = await asyncio.to_thread(RestClient(rest, key=server.key).create_token, "green")
        async with StreamClient(live, SessionStart(avatar="green"), key=token) as client:
            assert client.ready is not None
            assert token not in repr(client)
        with pytest.raises(RefusedError, match="unauthorized: this key is not, or not any more") as refused:
            async with StreamClient(live, key="ls_wrong"):
                pass
        assert refused.value.error.fatal


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
        "--max-sessions",
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


async def test_public_server_needs_a_key_or_the_option_open(data: Path) -> None:
    for options in (("--host", "0.0.0.0"), ("--no-open",)):
        async with served("--data", str(data), *options) as (_, process):
            output, _ = await process.communicate()
            assert process.returncode == 2
            for hint in (b"lipstream keys add NAME", b"--open"):
                assert hint in output
            assert output.count(b"\n") == 1
    assert not data.exists()


async def test_server_with_keys_asks_for_them_and_logs_no_secret(data: Path) -> None:
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
        output = (await process.communicate())[0].decode()
    assert PATH in output
    assert not [secret for secret in (key, token, "wrong-and-secret") if secret in output]


async def test_local_server_requires_keys_where_there_are_some(data: Path) -> None:
    files = data / "lipstream.db"
    settings = ServeSettings(data=data)
    assert not requires_keys(settings, local=True)
    assert not files.exists()
    keys(data, "add", "first")
    assert requires_keys(settings, local=True)
    assert not requires_keys(settings.replace(open=True), local=False)
    assert requires_keys(settings.replace(open=False), local=True)
    keys(data, "rm", "first")
    assert not requires_keys(settings, local=True)
    with pytest.raises(KeysMissingError):
        requires_keys(settings, local=False)
    secret = AccessSettings(key=SecretStr("a-key-that-stands-in-the-settings"))
    assert requires_keys(settings.replace(access=secret), local=False)
    for address, local in (
        ("127.0.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
    ):
        assert is_loopback(address) is local
