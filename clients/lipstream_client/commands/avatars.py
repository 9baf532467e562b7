"""`lipstream avatars`: the faces of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..rest import RestClient
from .key_option import Key

URL = "http://127.0.0.1:8000"
Url = Annotated[str, typer.Option(help="of the server")]
avatars = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, help="The faces of a server.", no_args_is_help=True
)


@avatars.command()
def add(
    picture: Annotated[Path, typer.Argument(help="a picture with one face")],
    name: Annotated[str | None, typer.Option(help="what people call it; the file's name without it")] = None,
    crop: Annotated[
        str | None, typer.Option(help="left,top,width,height: the part to use, shares of the picture's sides")
    ] = None,
    url: Url = URL,
    key: Key = None,
) -> None:
    """A picture becomes an avatar, whose id is printed."""
    added = RestClient(url, key=key).add_avatar(picture, name, crop)
    for note in added.notes:
        typer.echo(note, err=True)
    typer.echo(added.id)


@avatars.command("list")
def list_avatars(url: Url = URL, key: Key = None) -> None:
    """Id and name of every avatar, the default first."""
    for avatar in RestClient(url, key=key).avatars():
        typer.echo(f"{avatar.id}\t{avatar.name}{'' if avatar.bundled else chr(9) + 'uploaded'}")


@avatars.command()
def rm(
    ids: Annotated[list[str], typer.Argument(help="of avatars that were added")],
    url: Url = URL,
    key: Key = None,
) -> None:
    """Remove avatars."""
    for avatar in ids:
        RestClient(url, key=key).remove_avatar(avatar)
