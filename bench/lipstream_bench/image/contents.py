"""What is in an image, and what should not be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TOOLS = frozenset(
    {
        "gcc",
        "g++",
        "cc",
        "c++",
        "clang",
        "ld",
        "as",
        "make",
        "cmake",
        "ninja",
        "cargo",
        "nvcc",
        "git",
        "curl",
        "wget",
        "pip",
        "pip3",
        "hatchling",
    }
)
_LIBRARIES = frozenset({"pip", "wheel", "hatchling", "editables"})  # torch itself asks for setuptools
_LEFT = ("source", "wheel", "application", "opt/build", "root/.cache", "etc/resolv.conf")
_ENGINES = ("dev", "proc", "sys")  # mounted by whoever runs it
_WRITABLE = frozenset({"data", "tmp", "var/tmp", "run/lock"})


@dataclass(frozen=True)
class Contents:
    """megabytes: of all files, of hard links one. packages: Python's, with versions. faults: what should not be there."""

    megabytes: float
    packages: tuple[str, ...]
    faults: tuple[str, ...]


def look(root: Path, user: int) -> Contents:
    """user: who must not be able to write."""
    sizes: dict[int, int] = {}
    faults = [f"{left} was left behind" for left in _LEFT if (root / left).exists()]
    for entry, name in _walk(root):
        status = entry.stat(follow_symlinks=False)
        sizes[status.st_ino] = status.st_size
        loose = status.st_uid == user or (status.st_mode & 0o002 and not entry.is_symlink())
        if loose and name not in _WRITABLE:
            faults.append(f"{name} can be written by the server")
        if fault := _fault(entry, name):
            faults.append(f"{name} {fault}")
    found = root.glob("opt/lipstream/lib/python3*/site-packages/*.dist-info")
    packages = sorted(each.name.removesuffix(".dist-info") for each in found)
    return Contents(sum(sizes.values()) / 1e6, tuple(packages), tuple(faults))


def _fault(entry: os.DirEntry[str], name: str) -> str | None:
    folder = os.path.dirname(name)
    if entry.is_dir(follow_symlinks=False):
        importable = folder.endswith(("site-packages", "dist-packages"))
        return "is for building" if importable and entry.name in _LIBRARIES else None
    if folder.endswith("bin") and entry.name in _TOOLS:
        return "is a tool"
    return "was left behind" if entry.name.endswith((".whl", ".deb")) else None


def _walk(root: Path, within: str = "") -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every file and directory with its path in the root."""
    for entry in os.scandir(root / within):
        name = f"{within}/{entry.name}".lstrip("/")
        if name in _ENGINES:
            continue
        yield entry, name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, name)
