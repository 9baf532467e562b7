"""Destinations of a stream's media: a file, a player."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from .errors import StreamError

# In order of preference. The stream comes on stdin; both end with it.
PLAYERS = (
    (
        "ffplay",
        "-loglevel",
        "error",
        "-window_title",
        "Lipstream",
        "-fflags",
        "nobuffer",
        "-autoexit",
        "pipe:0",
    ),
    ("mpv", "--really-quiet", "--profile=low-latency", "--title=Lipstream", "-"),
)
_MAX_WAITING_BYTES = 64 << 20
_CLOSE_SECONDS = 15.0


class Sink(Protocol):
    """Destination of a stream's binary messages, in order."""

    def write(self, data: bytes) -> bool:
        """Write the next piece without waiting. Returns False when nothing more is wanted."""

    async def close(self, cut: bool) -> None:
        """Finish. cut: the stream was broken off; do not wait for what is left to be played."""


class FileSink:
    """A file that holds every piece as soon as it has come, so that it can be played whatever happens.

    The file is created, or an older one overwritten, with the first piece: a server that refuses costs nobody a file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> bool:
        if self._file is None:
            self._file = self._path.open("wb", buffering=0)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return True

    async def close(self, cut: bool) -> None:
        if self._file is not None:
            self._file.close()


class PlayerSink:
    """A player's stdin; closed when the player is, or when 64 MiB wait to be played."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None:
            raise ValueError("expected a process whose stdin is a pipe")
        self._process, self._input = process, process.stdin

    def write(self, data: bytes) -> bool:
        if self._process.returncode is not None or self._input.is_closing():
            return False
        if self._input.transport.get_write_buffer_size() > _MAX_WAITING_BYTES:
            return False
        self._input.write(data)
        return True

    async def close(self, cut: bool) -> None:
        """Wait until all has been played, unless the stream was cut."""
        self._input.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if cut else _CLOSE_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()


def find_player(find: Callable[[str], str | None] = shutil.which) -> Sequence[str]:
    """Return the command line of the first player that is installed. Raises StreamError."""
    for name, *arguments in PLAYERS:
        if path := find(name):
            return [path, *arguments]
    names = " nor ".join(name for name, *_ in PLAYERS)
    raise StreamError(
        f"--play needs a player, and neither {names} is on PATH; on Debian and Ubuntu: sudo apt install ffmpeg"
    )


async def open_player(command: Sequence[str]) -> PlayerSink:
    """Start a player apart from the terminal: Ctrl-C ends the stream, which then ends the player."""
    errors = None if sys.stderr.isatty() else DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=DEVNULL, stderr=errors, start_new_session=True
    )
    return PlayerSink(process)
