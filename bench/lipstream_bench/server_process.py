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

from lipstream_server.demo import started, wait_until_ready


@dataclass(frozen=True)
class ServerProcess:
    """url: ws://host:port."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def memory_mb(self) -> float:
        """Resident memory of all its processes."""
        found = [re.search(r"VmRSS:\s+(\d+) kB", (each / "status").read_text()) for each in self._family]
        return sum(int(each[1]) / 1024 for each in found if each)

    @property
    def cpu_seconds(self) -> float:
        """Spent by all its threads since it began."""
        fields = [(each / "stat").read_text().rpartition(")")[2].split() for each in self._family]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    @property
    def threads(self) -> int:
        return sum(len(list((each / "task").iterdir())) for each in self._family)

    @property
    def files(self) -> int:
        return sum(len(list((each / "fd").iterdir())) for each in self._family)

    @property
    def _family(self) -> list[Path]:
        """The process and what it has started, as folders of /proc."""
        found = [Path(f"/proc/{self.process.pid}")]
        for each in found:  # which grows meanwhile
            for task in (each / "task").iterdir():
                found += [Path("/proc", child) for child in (task / "children").read_text().split()]
        return found


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
