"""The data directory and its database, opened: one thread touches both, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from ..avatars.table import all_avatars, remove_avatar
from ..clips import state as clip_state
from ..clips.state import Clip, State
from ..clips.table import clip_ids, clips_in
from ..clips.transitions import keep
from .data_directory import DataDirectory, StorageFullError, remove
from .database import open_database

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
_SQLITE_FULL = 13  # the primary result code SQLITE_FULL


class Storage:
    """An async context manager. root: the directory; made where it is not there.

    Raises DataDirectoryError on entering.
    """

    def __init__(self, root: Path) -> None:
        self.files = DataDirectory(root)
        self._thread = ThreadPoolExecutor(1, "storage")
        self._engine: Engine | None = None
        self._lock: int | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.run(self._open)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.run(self._close)
        self._thread.shutdown()

    async def run(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """In the thread of the disk."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: work(*arguments, **named)
        )

    async def transact(
        self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Several reads and writes as one: all of it is on the disk when this returns, or nothing is.

        Raises StorageFullError.
        """
        return await self.run(lambda: self.transact_here(work, *arguments, **named))

    def transact_here(
        self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """As `transact`, for work that is in the thread of the disk already."""
        if self._engine is None:
            raise RuntimeError("the storage is not open")
        try:
            with self._engine.begin() as connection:
                return work(connection, *arguments, **named)
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == _SQLITE_FULL:
                raise StorageFullError("the disk of the database is full") from error
            raise

    def _open(self) -> None:
        self.files.make()
        self._lock = self.files.lock()
        self._engine = open_database(self.files.database)
        self.transact_here(recover, self.files, time.time())

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def recover(connection: Connection, files: DataDirectory, now: float) -> None:
    """After any end of the server before: what ran is queued again, what belongs to nothing is removed."""
    for path in files.incoming.iterdir():
        remove(path)
    for clip in clips_in(connection, list(State)):
        after = recovered(clip, files, now)
        if after != clip:
            log.warning("clip %s was %s and is %s", clip.id, clip.state, after.state)
            keep(connection, clip, after)
        keep_needed(files, after)
    known = clip_ids(connection)
    for folder in files.clips.iterdir():
        if folder.name not in known:
            remove(folder)
    _check_pictures(connection, files)


def recovered(clip: Clip, files: DataDirectory, now: float) -> Clip:
    if clip.state is State.SUCCEEDED:
        video = files.video(clip.id, clip.order.container)
        whole = clip.video is not None and video.is_file() and video.stat().st_size == clip.video.size
        return clip if whole else clip_state.lose(clip, video.name, now)
    if clip.state.final:
        return clip
    if not files.audio(clip.id).is_file():
        return clip_state.lose(clip, "audio", now)
    return clip_state.requeue(clip) if clip.state is State.RUNNING else clip


def keep_needed(files: DataDirectory, clip: Clip) -> None:
    """Remove what the state of a clip has no use for: its recording once it is finished, what was made of it until then."""
    needed = set() if clip.state.final else {files.audio(clip.id)}
    if clip.state is State.SUCCEEDED:
        needed = {files.video(clip.id, clip.order.container)}
    folder = files.clip(clip.id)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in needed:
            remove(path)


def _check_pictures(connection: Connection, files: DataDirectory) -> None:
    kept = set()
    for avatar in all_avatars(connection):
        if files.picture(avatar.id).is_file():
            kept |= {files.picture(avatar.id), files.preview(avatar.id)}
        else:
            log.warning("the picture of avatar %s is gone, and so is the avatar", avatar.id)
            remove_avatar(connection, avatar.id)
    for path in files.avatars.iterdir():
        if path not in kept:
            remove(path)
