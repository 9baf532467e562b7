"""The SQLite database: durable settings, and migrations to the newest schema."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

_MIGRATIONS = Path(__file__).parent / "migrations"
# FULL: in WAL mode NORMAL may lose the last commits in a power cut, and a commit is what a client was promised.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000")


def open_database(path: Path) -> Engine:
    """Open the database at the newest schema, with one connection for one thread at a time."""
    engine = create_engine(
        f"sqlite+pysqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as connection:
        _migrate(connection)
    return engine


def is_intact(engine: Engine) -> bool:
    """Return whether SQLite's integrity check finds no fault."""
    with engine.begin() as connection:
        return connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def _set_pragmas(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    # The driver's own transactions start too late to cover DDL and reads; `_begin_immediate` starts them.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
