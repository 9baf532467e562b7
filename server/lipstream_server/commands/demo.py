"""`lipstream demo`: a server is started, a bundled recording is streamed through it, and the server stays for the browser.

A composition root: the models room is asked for the recording, inside a function. Server and client are the two commands
`lipstream serve` and `lipstream stream`, each in a process of its own, exactly as a user would start them.
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

from ..config.sources import FIELDS
from ..engines.model import DEFAULT_AVATAR
from ..http.uvicorn_server import bind

_HOST = "127.0.0.1"
_PORT = 8000
_READY_TIMEOUT_SECONDS = 600.0
_REPORT_SECONDS = 15.0
_POLL_SECONDS = 0.5
_STOP_SECONDS = 10.0
_LAST_LINES = 15


class DemoError(RuntimeError):
    """The demo cannot continue; the command line ends with `exit_code`."""

    exit_code = 3


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="MP4 file to write.")] = Path("demo.mp4"),
    avatar: Annotated[str, typer.Option(help="One of the bundled avatars.")] = DEFAULT_AVATAR,
    device: Annotated[str, typer.Option(help=FIELDS["device"].description)] = "auto",
    steps: Annotated[int | None, typer.Option(help=FIELDS["steps"].description)] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop the server when the video is written, on a terminal too.")
    ] = False,
    stub: Annotated[bool, typer.Option("--stub", help=FIELDS["stub"].description)] = False,
) -> None:
    """Start a server and let a bundled avatar speak a bundled recording, live, as fast as a microphone."""
    from lipstream_models.bundled import recording_path

    port = free_port(_PORT)
    note = "" if port == _PORT else f"; port {_PORT} is taken"
    address = f"http://{_HOST}:{port}/"
    _print(f"starting the server on {address}{note}")
    options = ["--host", _HOST, "--port", str(port), "--device", device, *(["--stub"] if stub else [])]
    options += ["--drain-seconds", "0", "--log-format", "text"]
    options += [] if steps is None else ["--steps", str(steps)]
    with (
        tempfile.TemporaryFile("a+") as log,
        tempfile.TemporaryDirectory(prefix="lipstream-") as data,  # beside a server that has the usual one
        started(["serve", "--data", data, *options], log) as server,
    ):
        seconds = wait_until_ready(server, log, port)
        _print(
            f"ready after {seconds:.0f} s; {'a bar' if stub else avatar} speaks {recording_path().name}, live"
        )
        chosen = [] if stub else ["--avatar", avatar]
        with started(
            ["stream", str(recording_path()), "-o", str(output), "--url", f"ws://{_HOST}:{port}", *chosen]
        ) as client:
            if code := client.wait():
                raise failure(f"the client ended with code {code}", log)
        if not once and sys.stdin.isatty() and sys.stdout.isatty():
            _print(f"{address} — Ctrl-C stops it")
            _wait_for_interrupt(server, log)


def free_port(preferred: int) -> int:
    """Return the preferred port, or any other that is free."""
    try:
        with bind(_HOST, preferred):
            return preferred
    except OSError:
        with bind(_HOST, 0) as other:
            port: int = other.getsockname()[1]
            return port


@contextmanager
def started(arguments: Sequence[str], log: IO[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `lipstream` command in a process of its own until the block ends. log: file for its output."""
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
    """Wait until the server accepts sessions, printing from time to time; return the seconds. Raises DemoError."""
    start = reported = time.monotonic()
    while not ready(port):
        now = time.monotonic()
        if server.poll() is not None:
            raise failure(f"the server ended with code {server.returncode}", log)
        if now - start > _READY_TIMEOUT_SECONDS:
            raise failure(f"the server is not ready after {_READY_TIMEOUT_SECONDS:.0f} s", log)
        if now - reported > _REPORT_SECONDS:
            reported = now
            _print(f"the model is being loaded and measured, {now - start:.0f} s so far")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - start


def ready(port: int) -> bool:
    """Return whether the server on this machine would accept a session."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status == 200 and json.loads(response.read())["status"] == "ready"
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False
    finally:
        connection.close()


def failure(reason: str, log: IO[str]) -> DemoError:
    """Print the last lines of the server's output and return the error to raise."""
    log.seek(0)
    print(*list(log)[-_LAST_LINES:], sep="", end="", file=sys.stderr)
    return DemoError(f"{reason}; the last lines of its output are above")


def _wait_for_interrupt(server: subprocess.Popen[bytes], log: IO[str]) -> None:
    try:
        server.wait()
    except KeyboardInterrupt:
        _print("stopped")
        return
    raise failure(f"the server ended with code {server.returncode}", log)


def _print(text: str) -> None:
    print(text, flush=True)
