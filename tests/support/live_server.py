"""Real server on a free port with a stub engine, and a plain client of its protocol."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from opentelemetry.trace import Tracer
from websockets.asyncio.client import ClientConnection, connect

from lipstream_server.api.app import create_app
from lipstream_server.api.static_page import StaticPage
from lipstream_server.config.settings import ConversationSettings, ServerSettings, WindowSettings
from lipstream_server.engines.interface import Engine
from lipstream_server.engines.stub import StubEngine
from lipstream_server.http.uvicorn_server import bind, build_server
from lipstream_server.protocol import (
    PATH,
    SERVER_MESSAGES,
    AudioAppend,
    Interrupt,
    Message,
    Ping,
    ServerMessage,
    SessionEnd,
    SessionStart,
    StatsRequest,
    UtteranceEnd,
)

M = TypeVar("M", bound=Message)
__all__ = ["AudioAppend", "Interrupt", "Ping", "SessionEnd", "StatsRequest", "UtteranceEnd"]

# An utterance is one window, so that no frame is late on a busy machine, and frames are not blended.
CALM = ServerSettings(
    max_sessions=8,
    windows=WindowSettings(lengths=(48,)),
    conversation=ConversationSettings(crossfade_frames=0),
)


@asynccontextmanager
async def running(
    engine: Engine | None = None,
    settings: ServerSettings | None = None,
    ping_seconds: float = 30.0,
    page: StaticPage | None = None,
    data: Path | None = None,
    keyed: bool = False,
    tracer: Tracer | None = None,
) -> AsyncIterator[str]:
    """Yield the address of a server that is ready.

    Args:
        data: Data directory, by default a temporary one.
        keyed: Whether the server asks for API keys.
    """
    listening = bind("127.0.0.1", 0)
    app = create_app(
        lambda: engine or StubEngine(),
        settings or CALM,
        page=page,
        data=data,
        keyed=keyed,
        tracer=tracer,
    )
    uvicorn_server = build_server(app, "warning", ping_seconds)
    serving = asyncio.create_task(uvicorn_server.serve(sockets=[listening]))
    port = listening.getsockname()[1]
    try:
        await until(lambda: uvicorn_server.started)
        await until_ready(port)
        yield f"127.0.0.1:{port}"
    finally:
        uvicorn_server.should_exit = True
        await serving
        listening.close()


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def get(address: str, path: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of a GET request."""
    status, headers, body = await ask(address, "GET", path)
    return status, headers, body.decode()


async def ask(
    address: str, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an HTTP request; underscores in header names become hyphens."""
    sent = {"host": address, "connection": "close", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    response = await reader.read()
    writer.close()
    return read_answer(response)


def read_answer(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Parse an HTTP response into status, headers and body."""
    top, _, content = response.partition(b"\r\n\r\n")
    head = top.decode()
    status, *lines = head.split("\r\n")
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), found, content


async def until_ready(port: int) -> None:
    async with asyncio.timeout(60):
        while (await get(f"127.0.0.1:{port}", "/readyz"))[0] != 200:
            await asyncio.sleep(0.02)


class Client:
    """Client that records everything it receives, in order, with the times."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.received: list[ServerMessage | bytes] = []
        self.times: list[float] = []

    async def send(self, message: Message | bytes | str) -> None:
        await self.socket.send(message.model_dump_json() if isinstance(message, Message) else message)

    async def next(self) -> ServerMessage | bytes:
        message = await self.socket.recv()
        got = message if isinstance(message, bytes) else SERVER_MESSAGES.validate_json(message)
        self.received.append(got)
        self.times.append(time.monotonic())
        return got

    async def until(self, kind: type[M], seconds: float = 60) -> M:
        """Receive messages up to the next one of a type, and return it."""
        async with asyncio.timeout(seconds):
            while True:
                if isinstance(message := await self.next(), kind):
                    return message

    async def media(self, count: int, seconds: float = 60) -> list[bytes]:
        """Receive the next `count` binary messages."""
        found: list[bytes] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                if isinstance(message := await self.next(), bytes):
                    found.append(message)
        return found

    async def to_the_end(self, seconds: float = 60) -> int | None:
        """Receive until the connection closes; return the close code."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    await self.next()
            except Exception:
                await self.socket.wait_closed()
        return self.socket.close_code

    @property
    def binary(self) -> list[bytes]:
        return [message for message in self.received if isinstance(message, bytes)]

    def kinds(self) -> list[str]:
        """Return the types of the received messages, without stats, which a busy machine causes as warnings."""
        kinds = (message.type for message in self.received if not isinstance(message, bytes))
        return [kind for kind in kinds if kind != "stats"]


@asynccontextmanager
async def connected(
    address: str, start: SessionStart | None = None, scheme: str = "ws", **more: Any
) -> AsyncIterator[Client]:
    """Yield a client; with `start`, of a session that is ready. `more` goes to the handshake."""
    async with connect(f"{scheme}://{address}{PATH}", max_size=None, compression=None, **more) as socket:
        client = Client(socket)
        if start is not None:
            await client.send(start)
            await client.next()
        yield client


def tone(seconds: float, rate: int = 16_000, level: float = 0.5) -> bytes:
    """Return a sine of 440 Hz as s16le."""
    time_line = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * 440 * time_line) * level * 32767).astype("<i2").tobytes()
