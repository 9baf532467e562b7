"""`lipstream keys`: who may use a server. It works on the data directory, whether the server runs or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ..auth.api_keys import (
    ApiKey,
    KeyLimits,
    key_digest,
    make_key,
    make_key_id,
)
from ..auth.key_table import add_api_key, all_api_keys, remove_api_key
from ..config.effective import SettingsError
from ..config.serve_settings import (
    ConfigFile,
    Data,
    ServeSettings,
    gathered,
)
from ..storage.data_directory import DataDirectory
from ..storage.database import open_database

keys = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, help="Who may use a server.", no_args_is_help=True
)


class KeysError(SettingsError):
    """A key cannot be made or removed."""


class KeysMissingError(SettingsError):
    """A server that asks for keys has none."""


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="what you call whoever gets it")],
    sessions: Annotated[int | None, typer.Option(min=1, help="most at once; no limit without it")] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help="most that wait or are made; no limit without it")
    ] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help="no limit without it")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Make a key, which is printed this once. A server that runs knows it at once."""
    if not name.strip() or not name.isprintable():
        raise KeysError(f"expected a name for the key, got {name!r}")
    text = make_key()
    key = ApiKey(make_key_id(), name, KeyLimits(sessions, clips, requests_per_minute), time.time())
    with _database(data, config) as connection:
        try:
            add_api_key(connection, key, key_digest(text))
        except IntegrityError as error:
            raise KeysError(
                f"there is a key {name!r} already; remove it first, or give this one another name"
            ) from error
    typer.echo(text)


@keys.command("list")
def list_keys(data: Data = None, config: ConfigFile = None) -> None:
    """Name, day and limits of every key, the oldest first."""
    with _database(data, config) as connection:
        found = list(all_api_keys(connection).values())
    for key in found:
        limits = key.limits
        told = {"sessions": limits.sessions, "clips": limits.clips, "a minute": limits.requests_per_minute}
        said = ", ".join(f"{most} {what}" for what, most in told.items() if most is not None)
        typer.echo(f"{key.name}\t{datetime.fromtimestamp(key.created):%Y-%m-%d}\t{said or 'no limits'}")


@keys.command()
def rm(
    names: Annotated[list[str], typer.Argument(help="of keys")], data: Data = None, config: ConfigFile = None
) -> None:
    """Remove keys. A server that runs ends their sessions within seconds (access.fresh_seconds)."""
    with _database(data, config) as connection:
        for name in names:
            if not remove_api_key(connection, name):
                known = ", ".join(key.name for key in all_api_keys(connection).values())
                raise KeysError(f"there is no key {name!r}, only {known or 'none at all'}")


def asks_for_keys(settings: ServeSettings, local: bool) -> bool:
    """Whether a server with these settings asks for keys. local: it listens on this machine only. Raises KeysMissingError."""
    if settings.open:
        return False
    there = settings.access.key is not None or _any_key(DataDirectory(settings.directory))
    if local and settings.open is None and not there:
        return False
    if not there:
        raise KeysMissingError(
            f"a server that others can reach asks for keys, and {settings.directory} has none: make one with "
            "`lipstream keys add NAME`, or say --open if everybody who reaches it may use it, as behind a proxy that asks itself"
        )
    return True


def _any_key(files: DataDirectory) -> bool:
    if not files.database.exists():
        return False
    with _opened(files) as connection:
        return bool(all_api_keys(connection))


@contextmanager
def _database(data: Path | None, config: Path | None) -> Iterator[Connection]:
    files = DataDirectory(gathered({"data": data}, config).settings.directory)
    files.create()
    with _opened(files) as connection:
        yield connection


@contextmanager
def _opened(files: DataDirectory) -> Iterator[Connection]:
    """One transaction, beside those of a server that may run."""
    engine = open_database(files.database)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
