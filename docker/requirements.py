"""For the Dockerfile: what the wheel of pyproject.toml needs, one requirement a line, without the wheel itself.

`python requirements.py cpu hallo`: the build of PyTorch, then the extras.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(torch: str, extras: list[str]) -> list[str]:
    """torch: cpu or cuda. Raises ValueError, KeyError for an extra that there is not."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    pins = dict(line.split("==") for line in Path("constraints.txt").read_text().splitlines() if "==" in line)
    builds = {"cpu": f"torch=={pins['torch']}+cpu", "cuda": f"torch=={pins['torch']}"}
    if torch not in builds:
        raise ValueError(f"TORCH is cpu or cuda, got {torch!r}")
    optional = project["optional-dependencies"]
    return [builds[torch], *project["dependencies"], *(each for extra in extras for each in optional[extra])]


if __name__ == "__main__":
    print(*requirements(sys.argv[1], sys.argv[2:]), sep="\n")
