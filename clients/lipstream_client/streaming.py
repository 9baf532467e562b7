"""Audio through a server as it comes, the media that comes back into sinks, and figures of both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from lipstream_server.protocol import (
    AudioFormat,
    Error,
    Pong,
    SessionClosing,
    SessionStart,
    Stats,
    UtteranceEnded,
    UtteranceStarted,
)

from .errors import ConnectionLostError, StreamError
from .figures import Figures
from .recording import RATE, SAMPLE_BYTES, seconds_of
from .sinks import Sink
from .stream_client import Backoff, StreamClient

_PIECE_SECONDS = 0.04
_AFTERWARDS_SECONDS = 0.3
_WAIT_SECONDS = 60.0
_SPARE_SECONDS = 2.0
_SAID = "said"

Show = Callable[[Figures], None]


async def paced(audio: bytes, pace: float = 1.0, most_ahead: float = 10.0) -> AsyncGenerator[bytes]:
    """Pieces of 40 ms of s16le, 16 kHz mono, each at `pace` times the time at which a microphone would have heard it, but at most
    `most_ahead` seconds before that time.
    """
    piece = round(_PIECE_SECONDS * RATE) * SAMPLE_BYTES
    began = time.monotonic()
    for at in range(0, len(audio), piece):
        heard = (at + piece) / SAMPLE_BYTES / RATE
        due = max(heard * pace, heard - most_ahead)
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        yield audio[at : at + piece]


async def stream(
    client: StreamClient,
    source: AsyncGenerator[bytes],
    sinks: Sequence[Sink],
    figures: Figures,
    show: Show = lambda figures: None,
) -> None:
    """Send `source` as it comes and write what comes back, until all of it has been shown and a little idle has followed.

    client: connected; its audio s16le, 16 kHz mono, its container fmp4. show: called whenever something has changed.
    Raises StreamError when the server ends the session before, or does not finish in time.
    """
    deadline = asyncio.timeout(None)
    watcher = _Watcher(client, sinks, figures, show)
    cut = True
    try:
        async with deadline, asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(_speak(client, source, watcher, deadline))
            await watcher.watch()
            speaking.cancel()
        cut = False
    except TimeoutError:
        raise StreamError("the server did not finish the utterance in time") from None
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for sink in sinks:
            await sink.close(cut)


async def stream_audio(
    url: str,
    audio: bytes,
    sinks: Sequence[Sink] = (),
    avatar: str | None = None,
    pace: float = 1.0,
    backoff: Backoff | None = None,
    show: Show = lambda figures: None,
    key: str | None = None,
) -> Figures:
    """One recording, s16le 16 kHz mono. pace: 1 as a microphone gives it, 0 as fast as the server takes it."""
    figures = Figures()
    async with connection(url, avatar, backoff, key) as client:
        await stream(client, paced(audio, pace, ahead(client)), sinks, figures, show)
    return figures


def ahead(client: StreamClient) -> float:
    """Seconds of audio that a connected client may send before their time: what the server lets wait, less a little."""
    limit = client.ready.limits.buffered_ms / 1000 if client.ready else 0.0
    return max(_PIECE_SECONDS, limit - _SPARE_SECONDS)


def connection(
    url: str, avatar: str | None = None, backoff: Backoff | None = None, key: str | None = None
) -> StreamClient:
    """A client for `stream`, not connected."""
    start = SessionStart(avatar=avatar, audio=AudioFormat(rate=RATE))
    return StreamClient(url, start, backoff or Backoff(), key=key)


@dataclass
class _Watcher:
    """What comes from the server, and when it is over.

    heard: the server has read all audio, so that its word of being idle is the last one. rest_since: when it said so.
    """

    client: StreamClient
    sinks: Sequence[Sink]
    figures: Figures
    show: Show
    began: float = 0.0
    heard: bool = False
    shows: bool = False
    rest_since: float | None = None
    ended: bool = False

    async def watch(self) -> None:
        self.began = time.monotonic()
        async for message in self.client:
            now = time.monotonic() - self.began
            if isinstance(message, bytes):
                await self._media(message, now)
            elif isinstance(message, SessionClosing):
                if not self.ended and message.seconds_left is None:
                    raise StreamError(f"the server ended the session before all was said: {message.reason}")
            else:
                await self._event(message, now)
            self.show(self.figures)

    async def _event(self, message: object, now: float) -> None:
        if isinstance(message, UtteranceStarted):
            self.shows = True
        elif isinstance(message, Pong) and message.id == _SAID:
            self.heard = True
        elif isinstance(message, UtteranceEnded) and self.heard:
            await self.client.ask_stats()
        elif isinstance(message, Stats):
            self.figures.stats = message
            if self.heard and message.state == "idle" and self.rest_since is None:
                self.rest_since = now
        elif isinstance(message, Error) and not message.fatal:
            self.figures.problems.append(f"{message.code}: {message.message}")

    async def _media(self, message: bytes, now: float) -> None:
        self.figures.media(message, now, self.shows)
        wanted = [sink.write(message) for sink in self.sinks]
        rested = self.rest_since is not None and now - self.rest_since > _AFTERWARDS_SECONDS
        if not self.ended and (rested or (wanted and not any(wanted))):
            self.ended = True
            await self.client.end()


async def _speak(
    client: StreamClient, source: AsyncGenerator[bytes], watcher: _Watcher, deadline: asyncio.Timeout
) -> None:
    """All of the source. A connection that is lost ends it quietly: the watcher is told why."""
    began = time.monotonic()
    with suppress(ConnectionLostError):
        async with aclosing(source) as pieces:
            async for piece in pieces:
                await client.send_audio(piece)
                watcher.figures.sent += seconds_of(piece)
                watcher.show(watcher.figures)
        await client.end_utterance()
        # The answers come in this order, after all audio has been read.
        await client.ping(_SAID)
        await client.ask_stats()
    left = max(0.0, began + watcher.figures.sent - time.monotonic())
    deadline.reschedule(asyncio.get_running_loop().time() + left + _WAIT_SECONDS)
