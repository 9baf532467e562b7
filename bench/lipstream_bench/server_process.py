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
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else float("nan")

    @property
    def cpu_seconds(self) -> float:
        """Spent by all its threads since it began."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    @property
    def files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


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
