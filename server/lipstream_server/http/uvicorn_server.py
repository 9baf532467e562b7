"""uvicorn, set up for live streams.

Send buffers are small, so that a client that does not read is noticed; pings find clients that vanished; a stop
waits for sessions to drain.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ..observability.drain import Drain
from ..protocol import MAX_MESSAGE_BYTES
from .bounded_protocol import BoundedHttpProtocol

_SEND_BUFFER_BYTES = 1 << 16
_PING_SECONDS = 10.0
_BACKLOG = 128
# Too large messages are read up to here: closing with unread bytes resets the connection and may lose the close code.
_MAX_READ_BYTES = 4 * MAX_MESSAGE_BYTES
_GRACEFUL_SECONDS = 5
_LAST_RESORT_SECONDS = 10.0  # beyond all limits: something hangs that cannot be cancelled
_FORCED_EXIT_SECONDS = 3.0


class DrainingServer(uvicorn.Server):
    """A uvicorn server that drains.

    The first SIGTERM or SIGINT starts the drain; until it is done, probes are answered and sessions go on. A second
    signal closes everything at once. The exit code is 0, unless something hangs.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the drain, or cut it short."""
        now = time.monotonic()
        if not self._drain.has_started:
            self._drain.start(now)
            _exit_after(self._drain.limit_seconds + _GRACEFUL_SECONDS + _LAST_RESORT_SECONDS)
        else:
            self._drain.expire(now)
            self.should_exit = self.force_exit = True
            _exit_after(_FORCED_EXIT_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs.

        uvicorn's own method raises a captured signal again at the end, so that the process would not exit with 0.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)

    async def on_tick(self, counter: int) -> bool:
        """Exit once the drain is done."""
        if self._drain.is_done(time.monotonic()):
            self.should_exit = True
        return await super().on_tick(counter)


def _exit_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket, whose connections inherit the small send buffer.

    Args:
        host: Address to listen on.
        port: TCP port; 0 for a free one.

    Raises:
        OSError: The address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # uvloop sets it, asyncio does not
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def build_server(
    app: FastAPI, log_level: str = "info", ping_seconds: float = _PING_SECONDS
) -> DrainingServer:
    """Return a server, to be run with `sockets=[bind(...)]`.

    Args:
        app: Application of `create_app`.
        log_level: Level of uvicorn's log, which goes where `logs.configure` says.
        ping_seconds: Time between WebSocket pings, and for their answers.
    """
    config = uvicorn.Config(
        app,
        log_level=log_level,
        http=BoundedHttpProtocol,
        log_config=None,
        ws="websockets-sansio",
        ws_max_size=_MAX_READ_BYTES,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
        ws_per_message_deflate=False,  # media is compressed already
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        server_header=False,
        proxy_headers=False,  # anybody can write X-Forwarded-For
    )
    return DrainingServer(config, app.state.telemetry.drain)
