"""Streaming of a source of audio through a server into sinks, with figures."""

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

from .backoff import Backoff
from .errors import ConnectionLostError, StreamError
from .figures import Figures
from .recording import RATE, SAMPLE_BYTES, duration_seconds
from .sinks import Sink
from .stream_client import StreamClient

_PIECE_SECONDS = 0.04
_IDLE_SECONDS = 0.3
_WAIT_SECONDS = 60.0
_SPARE_SECONDS = 2.0
_ALL_SENT = "all-sent"

Show = Callable[[Figures], None]


async def paced(audio: bytes, pace: float = 1.0, max_ahead: float = 10.0) -> AsyncGenerator[bytes]:
    """Yield audio, s16le 16 kHz mono, in pieces of 40 ms.

    Args:
        audio: the whole recording.
        pace: 1 yields each piece when a microphone would have recorded it, 0 at once.
        max_ahead: maximum lead over a microphone in seconds.
    """
    piece = round(_PIECE_SECONDS * RATE) * SAMPLE_BYTES
    began = time.monotonic()
    for at in range(0, len(audio), piece):
        recorded = (at + piece) / SAMPLE_BYTES / RATE
        due = max(recorded * pace, recorded - max_ahead)
        await asyncio.sleep(max(0.0, began + due - time.monotonic()))
        yield audio[at : at + piece]


async def stream(
    client: StreamClient,
    source: AsyncGenerator[bytes],
    sinks: Sequence[Sink],
    figures: Figures,
    show: Show = lambda figures: None,
) -> None:
    """Send a source of audio and write the media that comes back, until all of it and a little idle have been shown.

    Args:
        client: connected, with audio s16le 16 kHz mono and the container fmp4.
        source: pieces of audio.
        sinks: destinations of the media.
        figures: updated all the time.
        show: called whenever the figures have changed.

    Raises:
        StreamError: the server ends the session early, or does not finish in time.
    """
    deadline = asyncio.timeout(None)
    receiver = _Receiver(client, sinks, figures, show)
    cut = True
    try:
        async with deadline, asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(_send_source(client, source, receiver, deadline))
            await receiver.run()
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
    """Stream one recording, s16le 16 kHz mono. pace: 1 as fast as a microphone, 0 as fast as the server takes it."""
    figures = Figures()
    async with connection(url, avatar, backoff, key) as client:
        await stream(client, paced(audio, pace, max_lead_seconds(client)), sinks, figures, show)
    return figures


def max_lead_seconds(client: StreamClient) -> float:
    """Return the seconds of audio that a connected client may send early: what the server buffers, less a little."""
    limit = client.ready.limits.buffered_ms / 1000 if client.ready else 0.0
    return max(_PIECE_SECONDS, limit - _SPARE_SECONDS)


def connection(
    url: str, avatar: str | None = None, backoff: Backoff | None = None, key: str | None = None
) -> StreamClient:
    """Return a client for `stream`, not connected."""
    start = SessionStart(avatar=avatar, audio=AudioFormat(rate=RATE))
    return StreamClient(url, start, backoff or Backoff(), key=key)


@dataclass
class _Receiver:
    """Receiver of the server's messages, which notices the end.

    Attributes:
        received: whether the server has read all audio, so that a report of being idle is the last one.
        in_utterance: whether the utterance has started.
        idle_since: time of the report that the server is idle.
    """

    client: StreamClient
    sinks: Sequence[Sink]
    figures: Figures
    show: Show
    began: float = 0.0
    received: bool = False
    in_utterance: bool = False
    idle_since: float | None = None
    ended: bool = False

    async def run(self) -> None:
        self.began = time.monotonic()
        async for message in self.client:
            now = time.monotonic() - self.began
            if isinstance(message, bytes):
                await self._media(message, now)
            elif isinstance(message, SessionClosing):
                if not self.ended and message.seconds_left is None:
                    raise StreamError(f"the server ended the session before all was spoken: {message.reason}")
            else:
                await self._event(message, now)
            self.show(self.figures)

    async def _event(self, message: object, now: float) -> None:
        if isinstance(message, UtteranceStarted):
            self.in_utterance = True
        elif isinstance(message, Pong) and message.id == _ALL_SENT:
            self.received = True
        elif isinstance(message, UtteranceEnded) and self.received:
            await self.client.ask_stats()
        elif isinstance(message, Stats):
            self.figures.stats = message
            if self.received and message.state == "idle" and self.idle_since is None:
                self.idle_since = now
        elif isinstance(message, Error) and not message.fatal:
            self.figures.problems.append(f"{message.code}: {message.message}")

    async def _media(self, message: bytes, now: float) -> None:
        self.figures.add_media(message, now, self.in_utterance)
        wanted = [sink.write(message) for sink in self.sinks]
        finished = self.idle_since is not None and now - self.idle_since > _IDLE_SECONDS
        if not self.ended and (finished or (wanted and not any(wanted))):
            self.ended = True
            await self.client.end()


async def _send_source(
    client: StreamClient, source: AsyncGenerator[bytes], receiver: _Receiver, deadline: asyncio.Timeout
) -> None:
    """Send all of the source. A lost connection ends this quietly: the receiver raises the error."""
    began = time.monotonic()
    with suppress(ConnectionLostError):
        async with aclosing(source) as pieces:
            async for piece in pieces:
                await client.send_audio(piece)
                receiver.figures.sent += duration_seconds(piece)
                receiver.show(receiver.figures)
        await client.end_utterance()
        # The answers come in this order, after all audio has been read.
        await client.ping(_ALL_SENT)
        await client.ask_stats()
    left = max(0.0, began + receiver.figures.sent - time.monotonic())
    deadline.reschedule(asyncio.get_running_loop().time() + left + _WAIT_SECONDS)
