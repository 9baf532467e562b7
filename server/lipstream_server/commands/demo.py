"""`lipstream demo`: a server is started, a bundled recording is streamed through it, and the server stays for the browser.

A composition root: the models room is asked for the recording, inside a function. Server and client are the two commands
`lipstream serve` and `lipstream stream`, each in a process of its own, exactly as anybody would start them.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from ..engines.model import DEFAULT_AVATAR
from ..http.uvicorn_server import bind

_HOST = "127.0.0.1"
_PORT = 8000
_READY_SECONDS = 600.0
_TOLD_SECONDS = 15.0
_ASK_SECONDS = 0.5
_STOP_SECONDS = 10.0
_LAST_LINES = 15


class DemoError(RuntimeError):
    """The demo cannot go on; see lipstream_client/cli.py for `exit_code`."""

    exit_code = 3


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="the MP4 file to write")] = Path("demo.mp4"),
    avatar: Annotated[str, typer.Option(help="one of the bundled avatars")] = DEFAULT_AVATAR,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the model's own number without it")] = None,
    once: Annotated[
        bool, typer.Option("--once", help="stop the server when the video is there, on a terminal too")
    ] = False,
    stub: Annotated[
        bool, typer.Option("--stub", help="no model, only coloured bars: whether all else works")
    ] = False,
) -> None:
    """A bundled face says a bundled recording, live: through a server, at the pace of a microphone."""
    from lipstream_models.bundled import recording_path

    port = free_port(_PORT)
    taken = "" if port == _PORT else f"; port {_PORT} is taken"
    address = f"http://{_HOST}:{port}/"
    _say(f"starting the server on {address}{taken}")
    options = ["--host", _HOST, "--port", str(port), "--device", device, *(["--stub"] if stub else [])]
    options += ["--drain-seconds", "0", "--log-format", "text"]
    options += [] if steps is None else ["--steps", str(steps)]
    with (
        tempfile.TemporaryFile("a+") as log,
        tempfile.TemporaryDirectory(prefix="lipstream-") as data,  # beside a server that has the usual one
        started(["serve", "--data", data, *options], log) as server,
    ):
        seconds = wait_until_ready(server, log, port)
        _say(f"ready after {seconds:.0f} s; {'a bar' if stub else avatar} says {recording_path().name}, live")
        chosen = [] if stub else ["--avatar", avatar]
        with started(
            ["stream", str(recording_path()), "-o", str(output), "--url", f"ws://{_HOST}:{port}", *chosen]
        ) as client:
            if code := client.wait():
                raise failed(f"the client ended with code {code}", log)
        if not once and sys.stdin.isatty() and sys.stdout.isatty():
            _say(f"{address} — Ctrl-C stops it")
            _stay(server, log)


def free_port(preferred: int) -> int:
    """The preferred port, or any other that is free."""
    try:
        with bind(_HOST, preferred):
            return preferred
    except OSError:
        with bind(_HOST, 0) as other:
            port: int = other.getsockname()[1]
            return port


@contextmanager
def started(arguments: Sequence[str], log: IO[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A `lipstream` command in a process of its own, which does not outlive the block. log: takes what it prints."""
    command = [sys.executable, "-m", "lipstream_client", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(server: subprocess.Popen[bytes], log: IO[str], port: int) -> float:
    """Seconds until the server takes sessions; tells now and then that it does not yet. Raises DemoError."""
    began = told = time.monotonic()
    while not ready(port):
        now = time.monotonic()
        if server.poll() is not None:
            raise failed(f"the server ended with code {server.returncode}", log)
        if now - began > _READY_SECONDS:
            raise failed(f"the server is not ready after {_READY_SECONDS:.0f} s", log)
        if now - told > _TOLD_SECONDS:
            told = now
            _say(f"the model is being loaded and measured, {now - began:.0f} s up to now")
        time.sleep(_ASK_SECONDS)
    return time.monotonic() - began


def ready(port: int) -> bool:
    """Whether the server on this machine would take a session."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status == 200 and json.loads(answer.read())["status"] == "ready"
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False
    finally:
        connection.close()


def failed(what: str, log: IO[str]) -> DemoError:
    """The error to raise, after showing what the server said last."""
    log.seek(0)
    print(*list(log)[-_LAST_LINES:], sep="", end="", file=sys.stderr)
    return DemoError(f"{what}; what the server said last is above")


def _stay(server: subprocess.Popen[bytes], log: IO[str]) -> None:
    try:
        server.wait()
    except KeyboardInterrupt:
        _say("stopped")
        return
    raise failed(f"the server ended with code {server.returncode}", log)


def _say(text: str) -> None:
    print(text, flush=True)
