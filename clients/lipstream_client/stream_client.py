"""Audio to a Lipstream server, video and events back.

async with StreamClient("ws://127.0.0.1:8000") as client:
    await client.say(pcm)                      # s16le, 16 kHz mono
    async for message in client:
        if isinstance(message, bytes):
            file.write(message)                # the next piece of a playable MP4
        elif isinstance(message, UtteranceEnded):
            break
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from lipstream_server.protocol import (
    MAX_MESSAGE_BYTES,
    PATH,
    SERVER_MESSAGES,
    AudioAppend,
    Error,
    ErrorCode,
    Interrupt,
    Message,
    Ping,
    ServerMessage,
    SessionClosing,
    SessionEnd,
    SessionReady,
    SessionStart,
    StatsRequest,
    UtteranceEnd,
    UtteranceEnded,
)

from .errors import RefusedError, StreamError

__all__ = ["Backoff", "StreamClient", "UtteranceEnded"]

_CLOSE_SECONDS = 2.0
_PIECE = MAX_MESSAGE_BYTES // 2


@dataclass(frozen=True)
class Backoff:
    """How often, and after how many seconds, a connection is tried again; each wait is up to twice the one before.

    A server that is busy is asked again when it said, if that is later. attempts: in all, 1 for no second try.
    """

    attempts: int = 5
    first: float = 0.25
    most: float = 8.0

    def waits(self) -> Iterator[float]:
        """Seconds before each further attempt, shaken so that many clients do not come back as one."""
        wait = self.first
        for _ in range(self.attempts - 1):
            yield wait * random.uniform(0.5, 1.0)  # noqa: S311  # nothing secret
            wait = min(self.most, 2 * wait)


@dataclass
class StreamClient:
    """An async context manager, entered when the session is ready, and an iterator over what the server sends.

    url: of the server, ws:// or wss://. backoff: for connecting. reconnect: whether an iteration goes on with a new session,
    after another `SessionReady`, when the connection is lost; audio that was under way is lost with it.
    text: audio goes as base64, where binary messages do not pass.
    Raises StreamError when no connection can be had, RefusedError when the server does not want the session.
    """

    url: str
    start: SessionStart = field(default_factory=SessionStart)
    backoff: Backoff = field(default_factory=Backoff)
    reconnect: bool = False
    text: bool = False
    ready: SessionReady | None = field(default=None, init=False)
    _socket: ClientConnection | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        if self._socket is not None:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._socket.close()

    async def send_audio(self, audio: bytes) -> None:
        """Bytes in the format of `start.audio`, of any size. Waits while the connection is full. Raises StreamError."""
        for at in range(0, len(audio), _PIECE):
            piece = audio[at : at + _PIECE]
            await self._send(AudioAppend(audio=base64.b64encode(piece).decode()) if self.text else piece)

    async def end_utterance(self) -> None:
        await self._send(UtteranceEnd())

    async def say(self, audio: bytes) -> None:
        """A whole utterance."""
        await self.send_audio(audio)
        await self.end_utterance()

    async def interrupt(self) -> None:
        """Be silent; `UtteranceEnded` follows, and then nothing of it."""
        await self._send(Interrupt())

    async def ask_stats(self) -> None:
        await self._send(StatsRequest())

    async def ping(self, id: str | None = None) -> None:
        await self._send(Ping(id=id))

    async def end(self) -> None:
        """Ask for the end; what is left comes, then the iteration is over."""
        self._ended = True
        await self._send(SessionEnd())

    async def __aiter__(self) -> AsyncIterator[ServerMessage | bytes]:
        """Messages in order: media as bytes, everything else typed. Ends with the session; raises StreamError when the
        connection is lost, RefusedError on a fatal error of the server.
        """
        fatal: Error | None = None
        while True:
            try:
                message = await self._receive()
            except ConnectionClosed as error:
                if fatal is not None:
                    raise RefusedError(fatal) from error
                if self._ended:
                    return
                if not self.reconnect:
                    raise StreamError(f"the connection was lost: {error}") from error
                await self._connect()
                if self.ready is not None:
                    yield self.ready
                continue
            if isinstance(message, Error) and message.fatal:
                fatal = message
            if isinstance(message, SessionClosing):
                self._ended = True
            yield message

    async def _connect(self) -> None:
        waits = self.backoff.waits()
        while True:
            try:
                self.ready = await self._open()
                return
            except RefusedError as error:
                wait = next(waits, None)
                if error.error.code is not ErrorCode.BUSY or wait is None:
                    raise
                wait = max(wait, error.error.retry_after or 0.0)
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
                wait = next(waits, None)
                if wait is None:
                    raise StreamError(f"{self.url}: no Lipstream server answers there: {error}") from error
            except InvalidURI as error:
                raise StreamError(
                    f"expected an address such as ws://127.0.0.1:8000, got {self.url!r}"
                ) from error
            await asyncio.sleep(wait)

    async def _open(self) -> SessionReady:
        url = self.url.rstrip("/")
        self._socket = await connect(
            url if url.endswith(PATH) else url + PATH, max_size=None, compression=None
        )
        await self._send(self.start)
        while True:
            message = await self._receive()
            if isinstance(message, SessionReady):
                return message
            if isinstance(message, Error):
                await self._socket.close()
                raise RefusedError(message)

    async def _receive(self) -> ServerMessage | bytes:
        message = await self._connected().recv()
        return message if isinstance(message, bytes) else SERVER_MESSAGES.validate_json(message)

    async def _send(self, message: Message | bytes) -> None:
        content = message if isinstance(message, bytes) else message.model_dump_json()
        try:
            await self._connected().send(content)
        except ConnectionClosed as error:
            raise StreamError(f"the connection was lost: {error}") from error

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            raise StreamError("not connected; use `async with StreamClient(...)`")
        return self._socket
