"""WebSocket of a session: typed messages out, in order and with a timeout; text and bytes in."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect

from ..protocol import MAX_MESSAGE_BYTES, CloseCode, Message


class SlowReaderError(Exception):
    """The client does not read what it is sent."""


class ClientGoneError(Exception):
    """The connection is closed."""


class MessageTooBigError(Exception):
    """A message is larger than `MAX_MESSAGE_BYTES`."""


class Channel:
    """Connection to one client.

    Args:
        socket: Accepted WebSocket.
        send_timeout: Seconds for which a message may wait until the client has read those before it.
    """

    def __init__(self, socket: WebSocket, send_timeout: float) -> None:
        self._socket = socket
        self._send_timeout = send_timeout
        self._send_lock = asyncio.Lock()

    async def receive(self) -> str | bytes:
        """Return the next message.

        Raises:
            ClientGoneError: The connection is closed.
            MessageTooBigError: The message is too large.
        """
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise ClientGoneError
        text = message.get("text")
        data = text.encode() if text is not None else message.get("bytes") or b""
        if len(data) > MAX_MESSAGE_BYTES:
            raise MessageTooBigError
        return text if text is not None else data

    async def send(self, *messages: Message | bytes) -> None:
        """Send messages in order, with no other message between them.

        Raises:
            ClientGoneError: The connection is closed.
            SlowReaderError: The client has not read within the timeout.
        """
        try:
            async with asyncio.timeout(self._send_timeout), self._send_lock:
                for message in messages:
                    if isinstance(message, bytes):
                        await self._socket.send_bytes(message)
                    else:
                        await self._socket.send_text(message.model_dump_json())
        except TimeoutError as error:
            raise SlowReaderError from error
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise ClientGoneError from error  # Starlette raises RuntimeError for a closed socket

    async def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection; a connection that is closed already is no error."""
        with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(self._send_timeout):
                await self._socket.close(code, reason)
