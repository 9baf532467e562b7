"""The open data directory: one thread reads and writes files and database, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from .data_directory import DataDirectory, StorageFullError, remove
from .database import open_database

P = ParamSpec("P")
T = TypeVar("T")
_SQLITE_FULL = 13  # the primary result code SQLITE_FULL


class Storage:
    """Data directory and database as an async context manager.

    Entering creates what is missing. It raises `DataDirectoryError` where the directory cannot be used.

    Args:
        root: The data directory.
    """

    def __init__(self, root: Path) -> None:
        self.files = DataDirectory(root)
        self._thread = ThreadPoolExecutor(1, "storage")
        self._engine: Engine | None = None
        self._lock: int | None = None

    async def __aenter__(self) -> Self:
        """Lock the directory and open the database."""
        try:
            await self.run(self._open)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database and release the lock."""
        await self.run(self._close)
        self._thread.shutdown()

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call a function in the storage thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: function(*arguments, **named)
        )

    async def transact(
        self, function: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Call a function in the storage thread, within one transaction: all of it is on the disk, or nothing.

        Raises:
            StorageFullError: The disk is full.
        """
        return await self.run(lambda: self.transact_in_thread(function, *arguments, **named))

    def transact_in_thread(
        self, function: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """Do as `transact` does, for callers that are in the storage thread already."""
        if self._engine is None:
            raise RuntimeError("the storage is not open")
        try:
            with self._engine.begin() as connection:
                return function(connection, *arguments, **named)
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == _SQLITE_FULL:
                raise StorageFullError("the disk of the database is full") from error
            raise

    def _open(self) -> None:
        self.files.create()
        self._lock = self.files.lock()
        for path in self.files.incoming.iterdir():  # uploads that the last server did not finish
            remove(path)
        self._engine = open_database(self.files.database)

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
