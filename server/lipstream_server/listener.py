"""uvicorn, set up for streams: small buffers, so that a client that does not read is noticed, and pings for those that vanish."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI

from .bounded_http import BoundedHttp
from .protocol import MAX_MESSAGE_BYTES

_SEND_BUFFER = 1 << 16
_PING_SECONDS = 10.0
_BACKLOG = 128
# A message that is too big is read so far: with bytes unread, closing resets the connection, and the close code may be lost.
_READ_BYTES = 4 * MAX_MESSAGE_BYTES


def bind(host: str, port: int) -> socket.socket:
    """A listening address; port 0 takes a free one. Connections inherit the small send buffer. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # uvloop does, asyncio does not
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def server(app: FastAPI, log_level: str = "info", ping_seconds: float = _PING_SECONDS) -> uvicorn.Server:
    """To be run with `sockets=[bind(...)]`. ping_seconds: between pings, and to their answers."""
    config = uvicorn.Config(
        app,
        log_level=log_level,
        http=BoundedHttp,
        ws="websockets-sansio",
        ws_max_size=_READ_BYTES,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
        ws_per_message_deflate=False,  # media is compressed already
        backlog=_BACKLOG,
        timeout_graceful_shutdown=5,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is what anybody may write
    )
    return uvicorn.Server(config)
