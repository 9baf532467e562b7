"""HTTP client of webhooks: one POST to a checked address, within a time limit, without following redirects.

It stands on raw h11 because the connection has to go to the very address that was checked, and because a receiver
must not be able to keep the server busy with an endless response; general clients resolve names themselves.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h11

from .target import WebhookTarget, is_public_address

_MAX_ADDRESSES = 4
_READ_BYTES = 1 << 12
_MAX_HEAD_BYTES = 1 << 14  # of a response; its body is not read


class WebhookPostError(RuntimeError):
    """The request could not be sent, or got no response."""


@dataclass(frozen=True)
class WebhookResponse:
    """The response of a receiver.

    Attributes:
        status: HTTP status.
        retry_after: Seconds of the header `Retry-After`, where there is one.
    """

    status: int
    retry_after: float | None = None


async def post_webhook(
    target: WebhookTarget, body: bytes, headers: Mapping[str, str], timeout_seconds: float
) -> WebhookResponse:
    """Send a POST request and return the response.

    Raises:
        WebhookPostError: The host has an address that is not public, or the response is not HTTP.
        OSError: The connection or TLS failed.
        TimeoutError: There was no response in time.
    """
    async with asyncio.timeout(timeout_seconds):
        reader, writer = await _connect(target, await _resolve(target))
        try:
            return await _exchange(reader, writer, _build_request(target, body, headers), body)
        except h11.RemoteProtocolError as error:
            raise WebhookPostError(f"the response is not HTTP: {error}") from error
        finally:
            writer.transport.abort()  # without waiting for the rest of the response


async def _resolve(target: WebhookTarget) -> Sequence[str]:
    """Resolve the host. Where one address is not public all are refused: such a name is a trick, or a mistake."""
    loop = asyncio.get_running_loop()
    try:
        entries = await loop.getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except UnicodeError as error:
        raise WebhookPostError(f"{target.host!r} is not a host name") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in entries))
    if not target.is_trusted and not all(is_public_address(each.partition("%")[0]) for each in addresses):
        raise WebhookPostError("the host has an address that is not public")
    return addresses[:_MAX_ADDRESSES]


async def _connect(
    target: WebhookTarget, addresses: Sequence[str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that accepts.

    The name is not resolved again, which might give another address; only TLS uses it.
    """
    last_error: OSError = ConnectionRefusedError("the host has no address")
    context = ssl.create_default_context() if target.uses_tls else None
    for address in addresses:
        try:
            return await asyncio.open_connection(
                address,
                target.port,
                ssl=context,
                server_hostname=target.host if target.uses_tls else None,
                limit=_READ_BYTES,
            )
        except OSError as error:
            last_error = error
    raise last_error


def _build_request(target: WebhookTarget, body: bytes, headers: Mapping[str, str]) -> h11.Request:
    defaults = {
        "host": target.authority,
        "user-agent": "Lipstream",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    return h11.Request(method="POST", target=target.path, headers=list({**defaults, **headers}.items()))


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> WebhookResponse:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()
    bytes_left = _MAX_HEAD_BYTES
    while True:
        received = connection.next_event()
        if isinstance(received, h11.Response):
            return WebhookResponse(received.status_code, _retry_after(received))
        if received is h11.NEED_DATA:
            if not bytes_left:
                raise WebhookPostError(f"the head of the response is longer than {_MAX_HEAD_BYTES} bytes")
            data = await reader.read(min(bytes_left, _READ_BYTES))
            bytes_left -= len(data)
            connection.receive_data(data)


def _retry_after(response: h11.Response) -> float | None:
    """Return the seconds of `Retry-After`; a date is ignored."""
    for name, value in response.headers:
        if name == b"retry-after" and value.isdigit() and len(value) < 10:
            return float(value)
    return None
