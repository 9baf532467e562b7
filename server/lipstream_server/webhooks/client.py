"""One POST to somebody else's server: to an address that was looked at, within a limit of time, without following anything."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h11

from .target import Target, public

_MOST_ADDRESSES = 4
_PIECE = 1 << 12
_MOST_HEAD_BYTES = 1 << 14  # of an answer; its body is not asked for


class WebhookPostError(RuntimeError):
    """It was not sent, or not answered."""


@dataclass(frozen=True)
class Answer:
    """retry_after: seconds, where it says so."""

    status: int
    retry_after: float | None = None


async def post(target: Target, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
    """Raises WebhookPostError, OSError (also for TLS), TimeoutError after so many seconds."""
    async with asyncio.timeout(seconds):
        reader, writer = await _connected(target, await _resolved(target))
        try:
            return await _exchange(reader, writer, _request(target, body, headers), body)
        except h11.RemoteProtocolError as error:
            raise WebhookPostError(f"the answer is no HTTP: {error}") from error
        finally:
            writer.transport.abort()  # without waiting for the rest of the answer


async def _resolved(target: Target) -> Sequence[str]:
    """Addresses of the host. Where one of them is not public, all are refused: such a name is a trick, or a mistake."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except UnicodeError as error:
        raise WebhookPostError(f"{target.host!r} is no name of a host") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if not target.named and not all(public(each.partition("%")[0]) for each in addresses):
        raise WebhookPostError("the host has an address that is not public")
    return addresses[:_MOST_ADDRESSES]


async def _connected(
    target: Target, addresses: Sequence[str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first that answers. The name is not resolved again, which might give another address; TLS is told of it."""
    refused: OSError = ConnectionRefusedError("the host has no address")
    secure = ssl.create_default_context() if target.secure else None
    for address in addresses:
        try:
            return await asyncio.open_connection(
                address,
                target.port,
                ssl=secure,
                server_hostname=target.host if target.secure else None,
                limit=_PIECE,
            )
        except OSError as error:
            refused = error
    raise refused


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> h11.Request:
    own = {
        "host": target.authority,
        "user-agent": "Lipstream",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    return h11.Request(method="POST", target=target.path, headers=list({**own, **headers}.items()))


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> Answer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD_BYTES)
    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()
    left = _MOST_HEAD_BYTES
    while True:
        came = connection.next_event()
        if isinstance(came, h11.Response):
            return Answer(came.status_code, _retry_after(came))
        if came is h11.NEED_DATA:
            if not left:
                raise WebhookPostError(f"the head of the answer is longer than {_MOST_HEAD_BYTES} bytes")
            piece = await reader.read(min(left, _PIECE))
            left -= len(piece)
            connection.receive_data(piece)


def _retry_after(answer: h11.Response) -> float | None:
    """In seconds; a date is left alone."""
    for name, value in answer.headers:
        if name == b"retry-after" and value.isdigit() and len(value) < 10:
            return float(value)
    return None
