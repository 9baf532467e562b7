"""Requirements for the Dockerfile: the dependencies of pyproject.toml, one a line, without the wheel itself.

`python requirements.py torch cpu`: the build of PyTorch. `python requirements.py wheel server hallo`: the rest, with extras.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def torch(build: str) -> list[str]:
    """Return the requirement of PyTorch in the version of constraints.txt. build: cpu or cuda."""
    (pin,) = [line for line in Path("constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    suffixes = {"cpu": "+cpu", "cuda": ""}
    if build not in suffixes:
        sys.exit(f"TORCH is cpu or cuda, got {build!r}")
    return [pin + suffixes[build]]


def wheel(*extras: str) -> list[str]:
    """Return the dependencies of the wheel and of these extras."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    if unknown := [extra for extra in extras if extra not in optional]:
        sys.exit(f"EXTRAS are some of {' '.join(optional)}, got {' '.join(unknown)}")
    return [*project["dependencies"], *(each for extra in extras for each in optional[extra])]


if __name__ == "__main__":
    print(*{"torch": torch, "wheel": wheel}[sys.argv[1]](*sys.argv[2:]), sep="\n")
