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
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from lipstream_server.protocol import (
    MAX_MESSAGE_BYTES,
    PATH,
    SERVER_MESSAGES,
    SUBPROTOCOL,
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

from .backoff import Backoff
from .errors import (
    ConnectionLostError,
    ProblemError,
    RefusedError,
    StreamError,
    problem,
)

__all__ = ["Backoff", "StreamClient", "UtteranceEnded"]

_CLOSE_SECONDS = 2.0
_READY_SECONDS = 60.0
_PIECE = MAX_MESSAGE_BYTES // 2
_FINAL = frozenset({401, 403, 421})


@dataclass
class StreamClient:
    """A session: an async context manager, entered when the session is ready, and an iterator over the server's messages.

    Raises StreamError when no connection can be made, ConnectionLostError when it is lost, and RefusedError when the server
    refuses the session.

    Attributes:
        url: address of the server, ws:// or wss://.
        start: the first message, with avatar, formats and preset.
        backoff: of connecting.
        reconnect: whether an iteration continues with a new session, after another `SessionReady`, when the connection is lost
            or the server restarts. Media under way is lost; what is sent meanwhile waits for the new session, which needs an
            iteration that goes on.
        text: send audio as base64, where binary messages do not pass.
        key: API key of a server that requires one, or a session token.
        ready: the server's description of the session, once it is ready.
    """

    url: str
    start: SessionStart = field(default_factory=SessionStart)
    backoff: Backoff = field(default_factory=Backoff)
    reconnect: bool = False
    text: bool = False
    key: str | None = field(default=None, repr=False)
    ready: SessionReady | None = field(default=None, init=False)
    _socket: ClientConnection | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition, init=False, repr=False)

    async def __aenter__(self) -> Self:
        self._ended = False
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_reconnecting()
        if self._socket is not None:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._socket.close()

    async def send_audio(self, audio: bytes) -> None:
        """Send audio in the format of `start.audio`, of any size; waits while the connection is full. Raises StreamError."""
        for at in range(0, len(audio), _PIECE):
            piece = audio[at : at + _PIECE]
            await self._send(AudioAppend(audio=base64.b64encode(piece).decode()) if self.text else piece)

    async def end_utterance(self) -> None:
        """End the utterance; `UtteranceEnded` follows when the last of its media has been sent."""
        await self._send(UtteranceEnd())

    async def say(self, audio: bytes) -> None:
        """Send a whole utterance."""
        await self.send_audio(audio)
        await self.end_utterance()

    async def interrupt(self) -> None:
        """Interrupt the utterance; `UtteranceEnded` follows, and no more of its media."""
        await self._send(Interrupt())

    async def ask_stats(self) -> None:
        """Ask for statistics; `Stats` follow."""
        await self._send(StatsRequest())

    async def ping(self, id: str | None = None) -> None:
        """Ask for a `Pong` with this id; it follows the answers to all earlier messages."""
        await self._send(Ping(id=id))

    async def end(self) -> None:
        """Ask for the end of the session; the remaining media comes, then the iteration ends."""
        await self._stop_reconnecting()
        await self._send(SessionEnd())

    async def __aiter__(self) -> AsyncIterator[ServerMessage | bytes]:
        """Yield messages in order: media as bytes, all others typed.

        The iteration ends with the session, after a `SessionClosing` with the reason. A `SessionClosing` with `seconds_left` is an
        announcement, and media goes on. Raises ConnectionLostError where the connection ends without one, and RefusedError after
        a fatal error of the server.
        """
        fatal: Error | None = None
        closing: SessionClosing | None = None
        while True:
            try:
                message = await self._receive()
            except ConnectionClosed as error:
                if fatal is not None:
                    await self._stop_reconnecting()
                    raise RefusedError(fatal) from error
                if self._ended or (closing and not self.reconnect):
                    await self._stop_reconnecting()
                    return
                if not self.reconnect:
                    await self._stop_reconnecting()
                    raise _lost(error) from error
                await self._connect()
                closing = None
                if self.ready is not None:
                    yield self.ready
                continue
            if isinstance(message, Error) and message.fatal:
                fatal = message
            if isinstance(message, SessionClosing) and message.seconds_left is None:
                closing = message
                self._ended = self._ended or message.reason == "ended"
            yield message

    async def _connect(self) -> None:
        try:
            self.ready, self._socket = await self._connect_with_retries()
        except StreamError:
            await self._stop_reconnecting()
            raise
        async with self._changed:
            self._changed.notify_all()

    async def _connect_with_retries(self) -> tuple[SessionReady, ClientConnection]:
        delays = self.backoff.delays()
        while True:
            try:
                return await self._open_session()
            except RefusedError as error:
                wait = next(delays, None)
                if error.error.code is not ErrorCode.BUSY or wait is None:
                    raise
                wait = max(wait, error.error.retry_after or 0.0)
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
                wait = next(delays, None)
                if (problem := _final_problem(error)) is not None:
                    raise problem from error
                if wait is None:
                    reason = str(error) or f"no answer within {_READY_SECONDS:.0f} s"
                    raise StreamError(f"{self.url}: no Lipstream server answers there: {reason}") from error
            except InvalidURI as error:
                raise StreamError(
                    f"expected an address such as ws://127.0.0.1:8000, got {self.url!r}"
                ) from error
            await asyncio.sleep(wait)

    async def _open_session(self) -> tuple[SessionReady, ClientConnection]:
        """Open one session; its socket is used only once the session is ready, so that nothing is sent before."""
        url = self.url.rstrip("/")
        async with asyncio.timeout(_READY_SECONDS):
            socket = await connect(
                url if url.endswith(PATH) else url + PATH,
                max_size=None,
                compression=None,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=None if self.key is None else {"Authorization": f"Bearer {self.key}"},
            )
            try:
                with suppress(
                    ConnectionClosed
                ):  # a server that wants no session has said why, which is read next
                    await socket.send(self.start.model_dump_json())
                while True:
                    message = _parse(await socket.recv())
                    if isinstance(message, SessionReady):
                        return message, socket
                    if isinstance(message, Error):
                        raise RefusedError(message)
            except BaseException:
                socket.transport.abort()
                raise

    async def _receive(self) -> ServerMessage | bytes:
        return _parse(await self._connected().recv())

    async def _send(self, message: Message | bytes) -> None:
        content = message if isinstance(message, bytes) else message.model_dump_json()
        while True:
            socket = self._connected()
            try:
                return await socket.send(content)
            except ConnectionClosed as error:
                if not self.reconnect or self._ended or not await self._replaced(socket):
                    raise _lost(error) from error

    async def _replaced(self, lost: ClientConnection) -> bool:
        """Wait for the iteration to connect again. Returns False when it has given up."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or self._socket is not lost)
        return not self._ended

    async def _stop_reconnecting(self) -> None:
        """Give up further connections, and wake whoever waits for one."""
        self._ended = True
        async with self._changed:
            self._changed.notify_all()

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            raise StreamError("not connected; use `async with StreamClient(...)`")
        return self._socket


def _parse(message: str | bytes) -> ServerMessage | bytes:
    if isinstance(message, bytes):
        return message
    try:
        return SERVER_MESSAGES.validate_json(message)
    except ValidationError as error:
        raise StreamError(
            f"expected a message of Lipstream's protocol, got {message[:100]!r}; is the server of another version?"
        ) from error


def _final_problem(error: Exception) -> ProblemError | None:
    """Return the error of a refusal that no retry can change."""
    if isinstance(error, InvalidStatus) and error.response.status_code in _FINAL:
        return problem(error.response.status_code, error.response.reason_phrase, error.response.body)
    return None


def _lost(error: ConnectionClosed) -> ConnectionLostError:
    return ConnectionLostError(f"the connection was lost: {error}")
