"""`lipstream clips`: videos that a server makes in the background."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..errors import StreamError
from ..rest import Clip, RestClient
from .avatars import URL, Url
from .key_option import Key

clips = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Videos that a server makes in the background.",
    no_args_is_help=True,
)
Id = Annotated[str, typer.Argument(help="of a clip")]


@clips.command()
def create(
    audio: Annotated[Path, typer.Argument(help="a recording; any file with a sound track")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="wait for the video and write it to this file")
    ] = None,
    avatar: Annotated[str | None, typer.Option(help="an avatar's id; the server's own without it")] = None,
    portrait: Annotated[Path | None, typer.Option(help="a picture of a face, instead of an avatar")] = None,
    preset: Annotated[str | None, typer.Option(help="the server's own without it")] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same frames")] = 0,
    size: Annotated[int | None, typer.Option(help="longer side of the video in pixels")] = None,
    container: Annotated[str, typer.Option(help="mp4, or webm (VP9 and Opus)")] = "mp4",
    webhook_url: Annotated[
        str | None, typer.Option(help="told when the clip has ended, if the server sends webhooks")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="the same one makes one clip, however often this runs")
    ] = None,
    url: Url = URL,
    key: Key = None,
) -> None:
    """Post a recording; the clip's id is printed."""
    rest = RestClient(url, key=key)
    clip = rest.create_clip(
        audio, avatar, portrait, preset, seed, size, idempotency_key, container, webhook_url
    )
    typer.echo(clip.id)
    if output is not None:
        _follow(rest, clip.id)
        rest.download(clip.id, output)


@clips.command()
def watch(clip: Id, url: Url = URL, key: Key = None) -> None:
    """Show how far a clip is, until it is finished."""
    _follow(RestClient(url, key=key), clip)


@clips.command()
def get(
    clip: Id,
    output: Annotated[Path, typer.Option("--output", "-o", help="the file to write")],
    url: Url = URL,
    key: Key = None,
) -> None:
    """The video of a clip; while it is made, all that is there of it."""
    typer.echo(f"{output}: {RestClient(url, key=key).download(clip, output)} bytes")


@clips.command("list")
def list_clips(
    state: Annotated[str | None, typer.Option(help="queued, running, succeeded, failed, cancelled")] = None,
    url: Url = URL,
    key: Key = None,
) -> None:
    """Id, state and length of every clip, the newest first."""
    for clip in RestClient(url, key=key).clips(state):
        typer.echo(f"{clip.id}\t{clip.state}\t{clip.seconds:.2f} s")


@clips.command()
def rm(ids: Annotated[list[str], typer.Argument(help="of clips")], url: Url = URL, key: Key = None) -> None:
    """Cancel clips that are not finished, and remove them with their videos."""
    for clip in ids:
        RestClient(url, key=key).remove_clip(clip)


def _follow(rest: RestClient, clip: str) -> None:
    """Raises StreamError where it ends without a video."""
    last = None
    with _shown() as show:
        for last in rest.watch(clip):
            show(last)
    last = last if last is not None and last.final else rest.clip(clip)
    if last.state != "succeeded":
        reason = f": {last.error['detail']}" if last.error else ""
        raise StreamError(f"clip {clip} is {last.state}{reason}")


@contextmanager
def _shown() -> Iterator[Callable[[Clip], None]]:
    """A bar on a terminal, a line for each state anywhere else; on stderr, so that ids can be piped."""
    if not sys.stderr.isatty():
        states: set[str] = set()

        def line(clip: Clip) -> None:
            if clip.state not in states:
                states.add(clip.state)
                typer.echo(
                    f"{clip.id}: {clip.state}, {clip.frames_done} of {clip.frames_total} frames", err=True
                )

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    ]
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("queued", total=None, left="")

        def update(clip: Clip) -> None:
            left = "" if clip.seconds_left is None else f"{clip.seconds_left:.0f} s left"
            bar.update(
                task, description=clip.state, total=clip.frames_total, completed=clip.frames_done, left=left
            )

        yield update
