"""A Lipstream server as a process of its own, and what it takes of the machine (Linux)."""

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
    """url: ws://host:port."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def pids(self) -> list[int]:
        """The server, its engine's process, and what that is copied from."""
        return [self.process.pid, *descendants(self.process.pid)]

    @property
    def memory_mb(self) -> float:
        """Resident, of all its processes; what they share counts once."""
        found = (re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE) for text in self._read("smaps_rollup"))
        return sum(int(each[1]) for each in found if each) / 1024

    @property
    def cpu_seconds(self) -> float:
        """Spent by all threads of its processes since they began."""
        fields = (text.rpartition(")")[2].split() for text in self._read("stat"))
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    @property
    def threads(self) -> int:
        return self._entries("task")

    @property
    def files(self) -> int:
        return self._entries("fd")

    def _read(self, name: str) -> list[str]:
        return [text for pid in self.pids if (text := _text(Path(f"/proc/{pid}/{name}")))]

    def _entries(self, name: str) -> int:
        return sum(
            len(os.listdir(folder)) for pid in self.pids if (folder := Path(f"/proc/{pid}/{name}")).exists()
        )


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and theirs (Linux)."""
    parents = {
        int(path.name): int(text.rpartition(")")[2].split()[1])
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and (text := _text(path / "stat"))
    }
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _text(path: Path) -> str:
    """Nothing of a process that has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def serving(options: Sequence[str], port: int) -> Iterator[ServerProcess]:
    """`lipstream serve` with these options, ready; stopped at the end. Raises DemoError when it does not become ready."""
    with (
        tempfile.TemporaryFile("a+") as log,
        tempfile.TemporaryDirectory(prefix="lipstream-") as data,  # for want of another one
        started(
            ["serve", "--data", data, "--drain-seconds", "0", "--port", str(port), *options], log
        ) as process,
    ):
        wait_until_ready(process, log, port)
        yield ServerProcess(process, f"ws://127.0.0.1:{port}")
