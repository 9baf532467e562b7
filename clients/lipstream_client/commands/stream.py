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
from ..status import status_line
from ..stream_client import StreamClient
from ..streaming import (
    Show,
    connection,
    max_lead_seconds,
    paced,
)
from ..streaming import stream as run
from .server_options import STREAM_URL, Key, Url

_NOTICEABLE_SHARE = 0.02
_TOO_SLOW = (
    "{repeated} frames were not ready in time, so that the frame before was shown again: the server's machine is too slow for "
    "this model, or busy. A GPU helps (lipstream serve --device cuda), or fewer streams at once, or the preset realtime; "
    "lipstream render makes every frame, however long it takes"
)


class UsageError(StreamError):
    """Arguments that contradict each other."""

    exit_code = 2


def stream(
    audio: Annotated[Path | None, typer.Argument(help="Recording: any file with an audio track.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="MP4 file to write as media comes.")
    ] = None,
    play: Annotated[
        bool, typer.Option("--play", help="Play the video as it comes, in ffplay or mpv.")
    ] = False,
    from_microphone: Annotated[
        bool, typer.Option("--microphone", help="Record from the microphone instead; Ctrl-C ends it.")
    ] = False,
    url: Url = STREAM_URL,
    avatar: Annotated[
        str | None, typer.Option(help="Id of an avatar; the server's default if not set.")
    ] = None,
    key: Key = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Send the recording as fast as the server takes it, not as fast as a microphone."
        ),
    ] = False,
) -> None:
    """Let an avatar of a server speak a recording, or what a microphone records."""
    if (audio is None) != from_microphone:
        raise UsageError("expected either a recording or --microphone")
    if output is None and not play:
        raise UsageError("expected a destination of the video: -o FILE, --play or both")
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}")
    if from_microphone:
        load_device()  # fails before a session is opened
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
        with status_line() as show:
            asyncio.run(talk(show))
    except KeyboardInterrupt:
        typer.echo(f"{where}: interrupted, {figures.report()}")
        raise
    typer.echo(f"{where}: {figures.report()}")
    if figures.repeated_frames > _NOTICEABLE_SHARE * figures.lengths.frames:
        typer.echo(_TOO_SLOW.format(repeated=figures.repeated_frames), err=True)


async def _source(client: StreamClient, speech: bytes | None, fast: bool) -> AsyncGenerator[bytes]:
    """Yield the recording, or the microphone until Ctrl-C; a second Ctrl-C ends everything."""
    if speech is not None:
        async for piece in paced(speech, 0.0 if fast else 1.0, max_lead_seconds(client)):
            yield piece
        return
    stop = asyncio.Event()
    with _interrupt_sets(stop):
        print("recording from the microphone; Ctrl-C ends", file=sys.stderr)
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
