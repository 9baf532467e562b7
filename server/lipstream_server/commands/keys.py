"""`lipstream keys`: the API keys of a server, in its data directory, whether the server runs or not."""

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
from ..config.options import ConfigFile
from ..config.serve_settings import ServeSettings
from ..config.sources import FIELDS, SettingsError, load_settings
from ..storage.data_directory import DataDirectory
from ..storage.database import open_database

keys = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Add, list and remove the API keys of a server.",
    no_args_is_help=True,
)
Data = Annotated[str | None, typer.Option("--data", metavar="PATH", help=FIELDS["data"].description)]
_UNLIMITED = "no limit if not set."


class KeysError(SettingsError):
    """A key cannot be added or removed."""


class KeysMissingError(SettingsError):
    """A server that requires API keys has none."""


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the key's owner.")],
    sessions: Annotated[
        int | None, typer.Option(min=1, help=f"Maximum number of sessions at once; {_UNLIMITED}")
    ] = None,
    clips: Annotated[
        int | None, typer.Option(min=1, help=f"Maximum number of unfinished clips; {_UNLIMITED}")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help=f"Maximum number of requests per minute; {_UNLIMITED}")
    ] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Add an API key, which is printed this once. A running server accepts it at once."""
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
    """List name, creation date and limits of every key, the oldest first."""
    with _database(data, config) as connection:
        found = list(all_api_keys(connection).values())
    for key in found:
        limits = key.limits
        named = {"sessions": limits.sessions, "clips": limits.clips, "per minute": limits.requests_per_minute}
        text = ", ".join(f"{limit} {name}" for name, limit in named.items() if limit is not None)
        typer.echo(f"{key.name}\t{datetime.fromtimestamp(key.created):%Y-%m-%d}\t{text or 'no limits'}")


@keys.command()
def rm(
    names: Annotated[list[str], typer.Argument(help="Names of the keys.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Remove keys. A running server ends their sessions within access.key_cache_ttl_seconds."""
    with _database(data, config) as connection:
        for name in names:
            if not remove_api_key(connection, name):
                known = ", ".join(key.name for key in all_api_keys(connection).values())
                raise KeysError(f"there is no key {name!r}, only {known or 'none at all'}")


def requires_keys(settings: ServeSettings, local: bool) -> bool:
    """Return whether a server with these settings requires API keys.

    Args:
        settings: of the server.
        local: whether it listens on this machine only.

    Raises:
        KeysMissingError: keys are required and there are none.
    """
    if settings.open:
        return False
    has_keys = settings.access.key is not None or _any_key(DataDirectory(settings.directory))
    if local and settings.open is None and not has_keys:
        return False
    if not has_keys:
        raise KeysMissingError(
            f"a server that others can reach requires API keys, and {settings.directory} has none: add one with "
            "`lipstream keys add NAME`, or use --open if everybody who reaches the server may use it, as behind a proxy "
            "that authenticates"
        )
    return True


def _any_key(files: DataDirectory) -> bool:
    if not files.database.exists():
        return False
    with _opened(files) as connection:
        return bool(all_api_keys(connection))


@contextmanager
def _database(data: str | None, config: Path | None) -> Iterator[Connection]:
    files = DataDirectory(load_settings({"data": data}, config).settings.directory)
    files.create()
    with _opened(files) as connection:
        yield connection


@contextmanager
def _opened(files: DataDirectory) -> Iterator[Connection]:
    """Open the database for one transaction, beside those of a server that may run."""
    engine = open_database(files.database)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
