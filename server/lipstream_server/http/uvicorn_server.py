"""uvicorn, set up for streams: small buffers, so that a client that does not read is noticed, pings for those that vanish, and an
end that waits for sessions.
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
from .limits import BoundedHttp

_SEND_BUFFER = 1 << 16
_PING_SECONDS = 10.0
_BACKLOG = 128
# A message that is too big is read so far: with bytes unread, closing resets the connection, and the close code may be lost.
_READ_BYTES = 4 * MAX_MESSAGE_BYTES


_GRACEFUL_SECONDS = 5
_LAST_RESORT_SECONDS = 10.0  # beyond all limits: something hangs that cannot be cancelled
_NOW_SECONDS = 3.0


class Listener(uvicorn.Server):
    """The first SIGTERM or SIGINT begins the drain; until that is done, probes are answered and sessions go on. A second one closes
    everything at once. The exit code is 0, unless something hangs.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._drain.begun:
            self._drain.begin(now)
            _leave_after(self._drain.limit + _GRACEFUL_SECONDS + _LAST_RESORT_SECONDS)
        else:
            self._drain.hurry(now)
            self.should_exit = self.force_exit = True
            _leave_after(_NOW_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises what it caught once more at the end, and the process would die of it instead of ending with 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def on_tick(self, counter: int) -> bool:
        if self._drain.done(time.monotonic()):
            self.should_exit = True
        return await super().on_tick(counter)


def _leave_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


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


def server(app: FastAPI, log_level: str = "info", ping_seconds: float = _PING_SECONDS) -> Listener:
    """To be run with `sockets=[bind(...)]`. app: of `create_app`. ping_seconds: between pings, and to their answers. Logs go where
    `logs.configure` says.
    """
    config = uvicorn.Config(
        app,
        log_level=log_level,
        http=BoundedHttp,
        log_config=None,
        ws="websockets-sansio",
        ws_max_size=_READ_BYTES,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=ping_seconds,
        ws_per_message_deflate=False,  # media is compressed already
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For is what anybody may write
    )
    return Listener(config, app.state.telemetry.drain)
