"""A Lipstream server as a separate process, and its use of the machine (Linux)."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lipstream_server.commands.demo import started, wait_until_ready


@dataclass(frozen=True)
class ServerProcess:
    """A running server.

    Attributes:
        process: Its process.
        url: ws://host:port.
    """

    process: subprocess.Popen[bytes]
    url: str

    @property
    def pids(self) -> list[int]:
        """Process ids of the server and of all its descendants."""
        return [self.process.pid, *descendants(self.process.pid)]

    @property
    def memory_mb(self) -> float:
        """Resident memory of all its processes in MB; shared pages count once."""
        matches = (re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE) for text in self._read("smaps_rollup"))
        return sum(int(each[1]) for each in matches if each) / 1024

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all its processes since their start."""
        fields = (text.rpartition(")")[2].split() for text in self._read("stat"))
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    @property
    def threads(self) -> int:
        """Number of threads."""
        return self._entries("task")

    @property
    def files(self) -> int:
        """Number of open files."""
        return self._entries("fd")

    def _read(self, name: str) -> list[str]:
        return [text for pid in self.pids if (text := _text(Path(f"/proc/{pid}/{name}")))]

    def _entries(self, name: str) -> int:
        return sum(
            len(os.listdir(folder)) for pid in self.pids if (folder := Path(f"/proc/{pid}/{name}")).exists()
        )


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started, and of theirs (Linux)."""
    parents = {
        int(path.name): int(text.rpartition(")")[2].split()[1])
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and (text := _text(path / "stat"))
    }
    pids = [pid]
    for each in pids:
        pids += [child for child, parent in parents.items() if parent == each]
    return pids[1:]


def _text(path: Path) -> str:
    """Return a file of /proc; empty where the process has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def serving(options: Sequence[str], port: int) -> Iterator[ServerProcess]:
    """Run `lipstream serve` with these options until it is ready, and stop it at the end.

    Raises:
        DemoError: It does not become ready.
    """
    with (
        tempfile.TemporaryFile("a+") as log,
        tempfile.TemporaryDirectory(prefix="lipstream-") as data,
        started(
            ["serve", "--data", data, "--drain-seconds", "0", "--port", str(port), *options], log
        ) as process,
    ):
        wait_until_ready(process, log, port)
        yield ServerProcess(process, f"ws://127.0.0.1:{port}")
