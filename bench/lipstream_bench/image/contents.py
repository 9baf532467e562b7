"""What is in an image, and what should not be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TOOLS = frozenset(
    "gcc g++ cc c++ clang ld as make cmake ninja rustc cargo nvcc pip pip3 hatchling git wget curl".split()
)
_LIBRARIES = frozenset({"pip", "setuptools", "wheel", "hatchling", "editables"})
_LEFT = ("source", "wheel", "application", "opt/build", "root/.cache", "tmp/.cache")
WRITABLE = frozenset({"data", "tmp", "var/tmp", "run/lock"})


@dataclass(frozen=True)
class Contents:
    """megabytes: of all files, of hard links one. packages: Python's, with versions. faults: what should not be there."""

    megabytes: float
    packages: tuple[str, ...]
    faults: tuple[str, ...]


def look(root: Path, user: int) -> Contents:
    """user: who must not be able to write."""
    sizes = {}
    faults = [f"{left} was left behind" for left in _LEFT if (root / left).exists()]
    for entry in _walk(root):
        status = entry.stat(follow_symlinks=False)
        sizes[status.st_ino] = status.st_size
        name = Path(entry.path).relative_to(root).as_posix()
        if entry.name in _TOOLS and os.access(entry.path, os.X_OK) and not entry.is_dir():
            faults.append(f"{name} is a tool")
        if entry.name in _LIBRARIES and entry.is_dir() and "-packages/" in name and name.count("/") < 7:
            faults.append(f"{name} is for building")
        if entry.name.endswith((".whl", ".deb")) and "ensurepip" not in name and "python-wheels" not in name:
            faults.append(f"{name} was left behind")
        loose = status.st_uid == user or (status.st_mode & 0o002 and not entry.is_symlink())
        if loose and name not in WRITABLE:
            faults.append(f"{name} can be written by the server")
    packages = sorted(
        found.name.removesuffix(".dist-info")
        for found in root.glob("opt/lipstream/lib/python3*/site-packages/*.dist-info")
    )
    return Contents(sum(sizes.values()) / 1e6, tuple(packages), tuple(faults))


def _walk(root: Path) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(root):
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
