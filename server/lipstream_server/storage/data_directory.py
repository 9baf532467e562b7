"""Where a server keeps what outlives it. Every name below it is made here or checked here, none comes from a request.

lipstream.db  token_secret  avatars/ID  avatars/ID.jpg  clips/ID/audio  clips/ID/video.mp4 (or .webm)  incoming/  lock
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import MediaError

_SECRET_BYTES = 32
_ID = re.compile(r"[0-9a-z][0-9a-z_-]{0,63}")


class DataDirectoryError(MediaError):
    """The data directory cannot be used."""


class StorageFullError(OSError):
    """There is no room for more."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.ENOSPC, text)


@dataclass(frozen=True)
class DataDirectory:
    root: Path

    @property
    def database(self) -> Path:
        return self.root / "lipstream.db"

    @property
    def avatars(self) -> Path:
        return self.root / "avatars"

    @property
    def clips(self) -> Path:
        return self.root / "clips"

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    def picture(self, avatar: str) -> Path:
        return self.avatars / _checked(avatar)

    def preview(self, avatar: str) -> Path:
        return self.avatars / f"{_checked(avatar)}.jpg"

    def clip(self, clip: str) -> Path:
        return self.clips / _checked(clip)

    def audio(self, clip: str) -> Path:
        return self.clip(clip) / "audio"

    def video(self, clip: str, container: str) -> Path:
        return self.clip(clip) / f"video.{_checked(container)}"

    def work(self, clip: str, container: str) -> Path:
        """Where the video is made; `video_out` adds names beside it."""
        return self.clip(clip) / f"work.{_checked(container)}"

    def temporary(self) -> Path:
        """A new name for something that comes in."""
        return self.incoming / secrets.token_hex(16)

    def make(self) -> None:
        """Raises DataDirectoryError."""
        try:
            for folder in (self.root, self.avatars, self.clips, self.incoming):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataDirectoryError(
                f"expected a folder to keep data in, {self.root} is none: {error.strerror}; see --data"
            ) from error

    def lock(self) -> int:
        """A descriptor that holds the directory until it is closed. Raises DataDirectoryError when another server has it."""
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise DataDirectoryError(
                f"another server keeps its data in {self.root}; give this one a folder of its own with --data"
            ) from error
        return descriptor

    def token_secret(self) -> bytes:
        """What tokens are signed with, made once. Raises DataDirectoryError for a file that holds none."""
        path = self.root / "token_secret"
        if not path.exists():
            write(secrets.token_bytes(_SECRET_BYTES), path, self.temporary())
        secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise DataDirectoryError(
                f"expected {_SECRET_BYTES} bytes in {path}, got {len(secret)}; remove it, and tokens that were made end"
            )
        return secret

    def free(self) -> int:
        """Bytes that the disk has left."""
        return shutil.disk_usage(self.root).free


def sync(path: Path) -> None:
    """What is in a file, or which names a folder holds, outlives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Give a finished file its name, for good."""
    sync(source)
    os.replace(source, target)
    sync(target.parent)


def write(data: bytes, target: Path, temporary: Path) -> None:
    """A whole file, or none, under its name."""
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        move(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Bytes of the files below it; one that vanishes meanwhile counts nothing."""
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.stat().st_size
        except OSError:
            continue


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise ValueError(f"expected an id of this server, got {name!r}")
    return name
