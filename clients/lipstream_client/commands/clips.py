"""`lipstream clips`: videos that a server renders in the background."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..errors import StreamError
from ..rest import ClipInfo, RestClient
from .server_options import REST_URL, Key, Url

clips = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Create, watch, download, list and remove clips: videos that a server renders in the background.",
    no_args_is_help=True,
)
Id = Annotated[str, typer.Argument(help="Id of a clip.")]


@clips.command()
def create(
    audio: Annotated[Path, typer.Argument(help="Recording: any file with an audio track.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write the video to; waits until it is rendered."),
    ] = None,
    avatar: Annotated[
        str | None, typer.Option(help="Id of an avatar; the server's default if not set.")
    ] = None,
    portrait: Annotated[Path | None, typer.Option(help="Image of a face instead of an avatar.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Sampling preset; the server's default if not set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise; the same seed gives the same frames.")] = 0,
    size: Annotated[int | None, typer.Option(help="Longer side of the video in pixels.")] = None,
    container: Annotated[str, typer.Option(help="Container: mp4, or webm (VP9 and Opus).")] = "mp4",
    webhook_url: Annotated[
        str | None,
        typer.Option(
            help="Address that the server notifies when the clip has ended, where it sends webhooks."
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Idempotency key: the same key makes one clip, however often the command runs."),
    ] = None,
    url: Url = REST_URL,
    key: Key = None,
) -> None:
    """Upload a recording and print the id of its clip."""
    rest = RestClient(url, key=key)
    clip = rest.create_clip(
        audio, avatar, portrait, preset, seed, size, idempotency_key, container, webhook_url
    )
    typer.echo(clip.id)
    if output is not None:
        _follow(rest, clip.id)
        rest.download(clip.id, output)


@clips.command()
def watch(clip: Id, url: Url = REST_URL, key: Key = None) -> None:
    """Show the progress of a clip until it is finished."""
    _follow(RestClient(url, key=key), clip)


@clips.command()
def get(
    clip: Id,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    url: Url = REST_URL,
    key: Key = None,
) -> None:
    """Download the video of a clip, as far as it is rendered."""
    typer.echo(f"{output}: {RestClient(url, key=key).download(clip, output)} bytes")


@clips.command("list")
def list_clips(
    state: Annotated[
        str | None, typer.Option(help="State to select: queued, running, succeeded, failed or cancelled.")
    ] = None,
    url: Url = REST_URL,
    key: Key = None,
) -> None:
    """List id, state and duration of every clip, the newest first."""
    for clip in RestClient(url, key=key).clips(state):
        typer.echo(f"{clip.id}\t{clip.state}\t{clip.seconds:.2f} s")


@clips.command()
def rm(
    ids: Annotated[list[str], typer.Argument(help="Ids of clips.")], url: Url = REST_URL, key: Key = None
) -> None:
    """Remove clips and their videos; those that are not finished are cancelled."""
    for clip in ids:
        RestClient(url, key=key).remove_clip(clip)


def _follow(rest: RestClient, clip: str) -> None:
    """Show a clip until it is finished. Raises StreamError where it ends without a video."""
    last = None
    with _progress() as show:
        for last in rest.watch(clip):
            show(last)
    last = last if last is not None and last.final else rest.clip(clip)
    if last.state != "succeeded":
        reason = f": {last.error['detail']}" if last.error else ""
        raise StreamError(f"clip {clip} is {last.state}{reason}")


@contextmanager
def _progress() -> Iterator[Callable[[ClipInfo], None]]:
    """Show a bar on a terminal, a line for each state elsewhere; on stderr, so that ids can be piped."""
    if not sys.stderr.isatty():
        states: set[str] = set()

        def line(clip: ClipInfo) -> None:
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

        def update(clip: ClipInfo) -> None:
            left = "" if clip.seconds_left is None else f"{clip.seconds_left:.0f} s left"
            bar.update(
                task, description=clip.state, total=clip.frames_total, completed=clip.frames_done, left=left
            )

        yield update
