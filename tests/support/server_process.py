"""`lipstream serve` with the stub engine in a process of its own, for tests of signals, exit codes and logs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipstream_server.commands.demo import free_port, ready

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Process:
    """A server process, its address as host:port, and the file with its output."""

    popen: subprocess.Popen[bytes]
    address: str
    log: Path

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.popen.pid, number)

    def wait(self, seconds: float) -> int:
        return self.popen.wait(seconds)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log, each of which must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def events(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["message"] == message]


@contextmanager
def serving(data: Path, *options: str, **environment: str) -> Iterator[Process]:
    """Yield a server that is ready, and kill it at the end.

    Args:
        data: Its data directory; the log is written beside it.
        options: Further command-line options.
        environment: Further environment variables.
    """
    port = free_port(8123)
    log = data.with_suffix(".log")
    command = [sys.executable, "-m", "lipstream_client", "serve", "--stub", "--data", str(data)]
    with log.open("wb") as out:
        popen = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=out,
            stderr=out,
            env={**os.environ, **environment},
        )
    try:
        end = time.monotonic() + 60
        while not ready(port):
            assert popen.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield Process(popen, f"127.0.0.1:{port}", log)
    finally:
        popen.kill()
        popen.wait()
