"""A WebSocket as a session sees it: typed messages out, one at a time, each within a time; texts and bytes in."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect

from ..protocol import MAX_MESSAGE_BYTES, CloseCode, Message


class SlowReaderError(Exception):
    """The client does not take what it is sent."""


class GoneError(Exception):
    """The client has gone."""


class TooBigError(Exception):
    """A message is larger than the protocol allows."""


class Channel:
    """send_timeout_seconds: how long a message may wait for the client to take what was sent before it."""

    def __init__(self, socket: WebSocket, send_timeout_seconds: float) -> None:
        self._socket = socket
        self._seconds = send_timeout_seconds
        self._turn = asyncio.Lock()

    async def receive(self) -> str | bytes:
        """The next message. Raises GoneError and TooBigError."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise GoneError
        text = message.get("text")
        data = text.encode() if text is not None else message.get("bytes") or b""
        if len(data) > MAX_MESSAGE_BYTES:
            raise TooBigError
        return text if text is not None else data

    async def send(self, *messages: Message | bytes) -> None:
        """Messages in this order, with no other between them. Raises SlowReaderError and GoneError."""
        try:
            async with asyncio.timeout(self._seconds), self._turn:
                for message in messages:
                    if isinstance(message, bytes):
                        await self._socket.send_bytes(message)
                    else:
                        await self._socket.send_text(message.model_dump_json())
        except TimeoutError as error:
            raise SlowReaderError from error
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise GoneError from error  # RuntimeError: Starlette's word for a socket that is closed

    async def close(self, code: CloseCode, reason: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._socket.close(code, reason)
