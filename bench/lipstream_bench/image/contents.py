"""Check of an image's files: size, Python packages, and files that should not be there."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

_TOOLS = frozenset(
    {"gcc", "g++", "cc", "c++", "clang", "ld", "as", "make", "cmake", "ninja", "cargo", "nvcc", "git", "curl"}
    | {"wget", "pip", "pip3", "hatchling"}
)
_BUILD_PACKAGES = frozenset({"pip", "wheel", "hatchling", "editables"})  # torch itself requires setuptools
_BUILD_PATHS = frozenset({"source", "wheel", "application", "opt/build", "root/.cache"})
_MOUNTED = frozenset({"dev", "proc", "sys"})
_WRITABLE = frozenset({"data", "tmp", "var/tmp", "run/lock"})
_PACKAGE = re.compile(r"opt/lipstream/lib/python3[^/]*/site-packages/([^/]+)\.dist-info")


@dataclass(frozen=True)
class Contents:
    """Contents of an image.

    Attributes:
        megabytes: Size of all files; hard links count once.
        packages: Python packages with their versions, sorted.
        faults: Descriptions of files that should not be there, or not be writable.
    """

    megabytes: float
    packages: tuple[str, ...]
    faults: tuple[str, ...]


def inspect_contents(files: Iterable[tarfile.TarInfo], user: int) -> Contents:
    """Inspect the files of an image.

    Args:
        files: Entries of its file system.
        user: The server's user id, which must not be able to write.
    """
    size = 0
    packages: set[str] = set()
    faults = []
    for entry in files:
        name = posixpath.normpath(entry.name).lstrip("/")
        if name.partition("/")[0] in _MOUNTED:
            continue
        size += entry.size  # 0 for further hard links
        if package := _PACKAGE.fullmatch(name):
            packages.add(package[1])
        loose = entry.uid == user or (entry.mode & 0o002 and not entry.issym())
        if loose and name not in _WRITABLE:
            faults.append(f"{name} can be written by the server")
        if fault := _fault(entry, name):
            faults.append(f"{name} {fault}")
    return Contents(size / 1e6, tuple(sorted(packages)), tuple(faults))


def _fault(entry: tarfile.TarInfo, name: str) -> str | None:
    folder, base = posixpath.split(name)
    if name in _BUILD_PATHS:
        return "was left behind by the build"
    if entry.isdir():
        importable = folder.endswith(("site-packages", "dist-packages"))
        return "is only for building" if importable and base in _BUILD_PACKAGES else None
    if folder.endswith("bin") and base in _TOOLS:
        return "is a development tool"
    return "was left behind by the build" if base.endswith((".whl", ".deb")) else None
