"""An image that runs: with a root that nobody can write to, as the image's user, in namespaces of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .follow import Image
from .roots import inner, serving


@dataclass(frozen=True)
class Container:
    """starter: the process outside, which ends with the code of the first one inside. first: that one's number out here."""

    image: Image
    environment: Mapping[str, str]
    starter: subprocess.Popen[bytes]
    first: int

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """As `docker exec`: in its namespaces and root, as its user."""
        inside = inner(Path("/"), command, self.environment, "/data", self.image.user)
        return subprocess.run([*self.enter("--all"), *inside], capture_output=True, text=True)

    def enter(self, *namespaces: str) -> list[str]:
        """The beginning of a command line that joins some of its namespaces; with all of them, its root too."""
        rooted = ["--root"] if "--all" in namespaces else []
        return ["nsenter", "--target", str(self.first), *namespaces, *rooted]

    @property
    def healthy(self) -> bool:
        """What the image's own HEALTHCHECK says."""
        return self.execute(self.image.healthcheck).returncode == 0

    def status(self) -> dict[str, str]:
        """Of the first process, as the kernel has it."""
        lines = Path(f"/proc/{self.first}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@contextmanager
def running(
    image: Image,
    data: Path,
    command: Sequence[str],
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Container]:
    """data: becomes /data. command: instead of the image's. Killed at the end, if need be."""
    variables = {**image.environment, **(environment or {})}
    line = serving(image.root, data, [*image.entrypoint, *command], variables, image.user)
    starter = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield Container(image, variables, starter, _child(starter))
    finally:
        starter.kill()
        starter.wait()


def _child(starter: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
    for _ in range(500):
        if children.exists() and (found := children.read_text().split()):
            return int(found[0])
        if starter.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError(f"nothing was started, code {starter.poll()}")
