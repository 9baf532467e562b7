"""Docker or Podman, whichever is usable: builds the image of the Dockerfile and describes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("docker", "podman")


@dataclass(frozen=True)
class Builder:
    """A container program on PATH; both take the same commands.

    Attributes:
        program: `docker` or `podman`.
    """

    program: str

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of the program."""
        return [self.program, *arguments]

    def output(self, *arguments: str) -> str:
        """Run a command and return what it prints.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        done = subprocess.run(self.command(*arguments), check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def build(self, context: Path, tag: str, arguments: Mapping[str, str]) -> Image:
        """Build the Dockerfile of a folder; the builder's progress goes to the terminal."""
        # Podman's own format has no health check.
        form = ["--format", "docker"] if self.program == "podman" else []
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        subprocess.run(self.command("build", *form, *options, "--tag", tag, str(context)), check=True)
        (description,) = json.loads(self.output("image", "inspect", tag))
        return Image(self, tag, description["Config"].get("User", ""))


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes:
        builder: The program that has it.
        tag: Its name there.
        user: USER of the Dockerfile.
    """

    builder: Builder
    tag: str
    user: str

    @contextmanager
    def files(self) -> Iterator[tarfile.TarFile]:
        """Open the file system of the image as a tar stream, which can be read once."""
        container = self.builder.output("create", self.tag)
        try:
            with (
                subprocess.Popen(self.builder.command("export", container), stdout=subprocess.PIPE) as export,
                tarfile.open(fileobj=export.stdout, mode="r|") as archive,
            ):
                yield archive
        finally:
            self.builder.output("rm", "--force", "--volumes", container)


def find_builder(programs: Sequence[str] = PROGRAMS) -> Builder | None:
    """Return the first program that is on PATH and whose service answers; None without one."""
    for program in programs:
        if shutil.which(program) is None:
            continue
        answer = subprocess.run([program, "info"], capture_output=True)
        if answer.returncode == 0 and b"Cannot connect" not in answer.stdout + answer.stderr:
            return Builder(program)
    return None
