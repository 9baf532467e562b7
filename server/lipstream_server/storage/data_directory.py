"""The data directory: names of its files, and writes that survive a power cut. No name comes from a request unchecked.

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
from http import HTTPStatus
from pathlib import Path

from ..errors import MediaError, StatusError

_SECRET_BYTES = 32
_ID = re.compile(r"[0-9a-z][0-9a-z_-]{0,63}")


class DataDirectoryError(MediaError):
    """The data directory cannot be used."""


class StorageFullError(StatusError, OSError):
    """The disk has no room for more."""

    status, code = HTTPStatus.INSUFFICIENT_STORAGE, "storage_full"

    def __init__(self, text: str) -> None:
        super().__init__(errno.ENOSPC, text)

    def __str__(self) -> str:
        """Return the text without the number, which the text of an OSError begins with."""
        return str(self.args[-1])


def default_directory() -> Path:
    """Return the data directory of the XDG Base Directory Specification."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "lipstream"


@dataclass(frozen=True)
class DataDirectory:
    """Paths below the root of a data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "lipstream.db"

    @property
    def avatars(self) -> Path:
        """The folder of portraits."""
        return self.root / "avatars"

    @property
    def clips(self) -> Path:
        """The folder that holds a folder for each clip."""
        return self.root / "clips"

    @property
    def incoming(self) -> Path:
        """The folder of files that are being received or written."""
        return self.root / "incoming"

    def portrait(self, avatar: str) -> Path:
        """Return the path of the image file that a client sent."""
        return self.avatars / _checked(avatar)

    def preview(self, avatar: str) -> Path:
        """Return the path of the framed portrait, a JPEG."""
        return self.avatars / f"{_checked(avatar)}.jpg"

    def clip(self, clip: str) -> Path:
        """Return the folder of a clip."""
        return self.clips / _checked(clip)

    def audio(self, clip: str) -> Path:
        """Return the path of a clip's recording."""
        return self.clip(clip) / "audio"

    def video(self, clip: str, container: str) -> Path:
        """Return the path of a clip's finished video."""
        return self.clip(clip) / f"video.{_checked(container)}"

    def work(self, clip: str, container: str) -> Path:
        """Return the path at which a video is rendered; the video writer adds names beside it."""
        return self.clip(clip) / f"work.{_checked(container)}"

    def temporary(self) -> Path:
        """Return a new path for an incoming file."""
        return self.incoming / secrets.token_hex(16)

    def create(self) -> None:
        """Create the folders that are missing.

        Raises:
            DataDirectoryError: A folder cannot be created.
        """
        try:
            for folder in (self.root, self.avatars, self.clips, self.incoming):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataDirectoryError(
                f"expected a folder to keep data in, {self.root} is none: {error.strerror}; see --data"
            ) from error

    def lock(self) -> int:
        """Return a file descriptor that locks the directory until it is closed.

        Raises:
            DataDirectoryError: Another server holds the lock.
        """
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
        """Return the secret that session tokens are signed with; it is created at the first call.

        Raises:
            DataDirectoryError: The file has another length than a secret.
        """
        path = self.root / "token_secret"
        if not path.exists():
            write_atomically(secrets.token_bytes(_SECRET_BYTES), path, self.temporary())
        secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise DataDirectoryError(
                f"expected {_SECRET_BYTES} bytes in {path}, got {len(secret)}; remove it, which ends all tokens"
            )
        return secret

    def free_bytes(self) -> int:
        """Return the free space of the disk in bytes."""
        return shutil.disk_usage(self.root).free


def sync(path: Path) -> None:
    """Flush a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Give a finished file its name; both survive a power cut."""
    sync(source)
    os.replace(source, target)
    sync(target.parent)


def write_atomically(data: bytes, target: Path, temporary: Path) -> None:
    """Write a whole file or none, by way of a temporary file."""
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        move(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder; one that vanishes meanwhile counts nothing."""
    return sum(_file_sizes(folder))


def _file_sizes(folder: Path) -> Iterator[int]:
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
