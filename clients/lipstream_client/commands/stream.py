"""`lipstream stream`: a recording or a microphone through a server, into a file or a player."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..errors import StreamError
from ..figures import Figures
from ..microphone import load_device, microphone
from ..recording import read_audio
from ..sinks import (
    FileSink,
    Sink,
    find_player,
    open_player,
)
from ..status import status
from ..stream_client import StreamClient
from ..streaming import (
    Show,
    ahead,
    connection,
    paced,
)
from ..streaming import stream as run
from .key_option import Key

URL = "ws://127.0.0.1:8000"
_NOTICED = 0.02
_TOO_SLOW = (
    "{late} pictures were not made in time and the ones before them were held: the server's machine is too slow for this model, "
    "or busy. What helps: a GPU (lipstream serve --device cuda), fewer streams at once, the preset realtime; "
    "lipstream render makes every picture, however long it takes"
)


class UsageError(StreamError):
    """Arguments that do not go together."""

    exit_code = 2


def stream(
    audio: Annotated[Path | None, typer.Argument(help="a recording; any file with a sound track")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="the MP4 file to write, as it comes")
    ] = None,
    play: Annotated[bool, typer.Option("--play", help="show it as it comes, in ffplay or mpv")] = False,
    from_microphone: Annotated[
        bool, typer.Option("--microphone", help="instead of a recording; Ctrl-C ends it")
    ] = False,
    url: Annotated[str, typer.Option(help="of the server")] = URL,
    avatar: Annotated[str | None, typer.Option(help="the server's own without it")] = None,
    key: Key = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="send all at once, not at the pace of a microphone")
    ] = False,
) -> None:
    """A recording, at the pace of a microphone, or a microphone is spoken by a server's avatar."""
    if (audio is None) != from_microphone:
        raise UsageError("expected either a recording or --microphone")
    if output is None and not play:
        raise UsageError("expected -o FILE, --play or both: where the video goes")
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}")
    if from_microphone:
        load_device()  # what is missing is told before a server is asked for anything
    speech = read_audio(audio) if audio is not None else None
    player = find_player() if play else None
    figures = Figures()
    where = "player" if output is None else str(output)

    async def talk(show: Show) -> None:
        async with connection(url, avatar, key=key) as client:
            sinks: list[Sink] = [FileSink(output)] if output is not None else []
            if player is not None:
                sinks.append(await open_player(player))
            await run(client, _source(client, speech, fast), sinks, figures, show)

    try:
        with status() as show:
            asyncio.run(talk(show))
    except KeyboardInterrupt:
        typer.echo(f"{where}: interrupted, {figures.report()}")
        raise
    typer.echo(f"{where}: {figures.report()}")
    if figures.repeated_frames > _NOTICED * figures.lengths.frames:
        typer.echo(_TOO_SLOW.format(late=figures.repeated_frames), err=True)


async def _source(client: StreamClient, speech: bytes | None, fast: bool) -> AsyncGenerator[bytes]:
    """The recording, or the microphone until Ctrl-C; a second Ctrl-C ends everything."""
    if speech is not None:
        async for piece in paced(speech, 0.0 if fast else 1.0, ahead(client)):
            yield piece
        return
    stop = asyncio.Event()
    with _interrupt_sets(stop):
        print("listening to the microphone; Ctrl-C ends", file=sys.stderr)
        async for piece in microphone(stop):
            yield piece


@contextmanager
def _interrupt_sets(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)

    def interrupted() -> None:
        stop.set()
        restore()

    def restore() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)

    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        restore()
