"""Running containers of the image, confined as compose.yaml confines the server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .builder import Image

_PORT = "8000"
_CONFINEMENT = (
    *("--read-only", "--tmpfs", "/tmp:size=256m,mode=1777", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--init"),
)


@dataclass(frozen=True)
class Container:
    """A running container.

    Attributes:
        image: The image that it runs.
        name: Its identifier.
    """

    image: Image
    name: str

    def execute(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in the container as its user."""
        line = self.image.builder.command("exec", self.name, *command)
        return subprocess.run(line, capture_output=True, text=True)

    @property
    def health(self) -> str:
        """Result of the image's own HEALTHCHECK: starting, healthy or unhealthy."""
        (description,) = json.loads(self.image.builder.output("container", "inspect", self.name))
        return str(description["State"].get("Health", {}).get("Status", ""))

    @property
    def address(self) -> str:
        """host:port of the server, from outside."""
        return self.image.builder.output("port", self.name, f"{_PORT}/tcp").splitlines()[0]

    @property
    def log(self) -> str:
        """Output of the container so far."""
        line = self.image.builder.command("logs", self.name)
        return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def process_status(self) -> dict[str, str]:
        """Return the kernel's status of a process in the container, with the server's user and capabilities."""
        text = self.execute(["cat", "/proc/self/status"]).stdout
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}

    def wait(self, seconds: float) -> int:
        """Wait for the end of the container and return its exit code."""
        line = self.image.builder.command("wait", self.name)
        done = subprocess.run(line, check=True, capture_output=True, text=True, timeout=seconds)
        return int(done.stdout)

    def stop(self, seconds: int) -> int:
        """Send the image's stop signal, wait at most so long, and return the exit code."""
        self.image.builder.output("stop", "--time", str(seconds), self.name)
        return self.wait(seconds)


@contextmanager
def running(image: Image, environment: Mapping[str, str] | None = None) -> Iterator[Container]:
    """Run the image's own command with a new volume at /data; both are removed at the end."""
    variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
    publish = ["--publish", f"127.0.0.1::{_PORT}"]
    name = image.builder.output("run", "--detach", *_CONFINEMENT, *publish, *variables, image.tag)
    try:
        yield Container(image, name)
    finally:
        image.builder.output("rm", "--force", "--volumes", name)
