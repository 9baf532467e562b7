"""`lipstream avatars`: the avatars of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..rest import RestClient
from .server_options import REST_URL, Key, Url

avatars = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Add, list and remove the avatars of a server.",
    no_args_is_help=True,
)


@avatars.command()
def add(
    image: Annotated[Path, typer.Argument(help="Image with one face.")],
    name: Annotated[str | None, typer.Option(help="Display name; the file's name if not set.")] = None,
    crop: Annotated[
        str | None,
        typer.Option(help="Part of the image to use: left,top,width,height as shares of the image's sides."),
    ] = None,
    url: Url = REST_URL,
    key: Key = None,
) -> None:
    """Make an avatar of an image and print its id."""
    added = RestClient(url, key=key).add_avatar(image, name, crop)
    for note in added.notes:
        typer.echo(note, err=True)
    typer.echo(added.id)


@avatars.command("list")
def list_avatars(url: Url = REST_URL, key: Key = None) -> None:
    """List id and name of every avatar, the default first."""
    for avatar in RestClient(url, key=key).avatars():
        typer.echo(f"{avatar.id}\t{avatar.name}{'' if avatar.bundled else chr(9) + 'uploaded'}")


@avatars.command()
def rm(
    ids: Annotated[list[str], typer.Argument(help="Ids of uploaded avatars.")],
    url: Url = REST_URL,
    key: Key = None,
) -> None:
    """Remove avatars."""
    for avatar in ids:
        RestClient(url, key=key).remove_avatar(avatar)
