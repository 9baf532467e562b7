"""Sessions release their encoders when they end, however they end, without the garbage collector."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest
from live_server import (
    Client,
    SessionEnd,
    connected,
    running,
    tone,
)

from lipstream_server.media.live.media_output import Mp4Output
from lipstream_server.protocol import SessionStart, UtteranceStarted
from lipstream_server.sessions.session import Session


async def end_session(client: Client) -> None:
    await client.send(SessionEnd())
    await client.to_the_end()


async def vanish(client: Client) -> None:
    await client.send(tone(2.0))
    await client.until(UtteranceStarted)
    client.socket.transport.abort()


async def close_socket(client: Client) -> None:
    await client.socket.close()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("leave", [end_session, vanish, close_socket])
async def test_sessions_release_their_encoders_at_once(
    leave: Callable[[Client], Awaitable[None]], no_collector: None
) -> None:
    async with running() as address:
        for _ in range(3):
            async with connected(address, SessionStart()) as client:
                await client.media(3)
                await leave(client)
        async with asyncio.timeout(30):
            while left := [each for each in gc.get_objects() if type(each) in (Mp4Output, Session)]:
                del left
                await asyncio.sleep(0.1)
