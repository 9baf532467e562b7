"""The Python client against a real server."""

import asyncio
import wave
from pathlib import Path

import pytest
from live_server import running, tone
from websockets.asyncio.server import ServerConnection, serve

from lipstream_client.backoff import Backoff
from lipstream_client.errors import ConnectionLostError, RefusedError, StreamError
from lipstream_client.recording import read_audio
from lipstream_client.stream_client import StreamClient
from lipstream_server.config.settings import ServerSettings
from lipstream_server.http.uvicorn_server import bind
from lipstream_server.protocol import (
    ErrorCode,
    Pong,
    SessionClosing,
    SessionReady,
    SessionStart,
    Stats,
    UtteranceEnded,
    UtteranceStarted,
)

ONCE = Backoff(attempts=1)


async def test_client_gets_typed_events_and_media_as_bytes() -> None:
    async with running() as address:
        async with StreamClient(f"ws://{address}", SessionStart(avatar="green"), text=True) as client:
            assert client.ready is not None
            assert client.ready.avatar == "green"
            await client.ping("7")
            await client.ask_stats()
            await client.say(tone(0.4))
            seen = []
            async for message in client:
                seen.append(message)
                if isinstance(message, UtteranceEnded):
                    await client.interrupt() if not message.interrupted else await client.end()
        kinds = {type(message) for message in seen}
        assert {bytes, Pong, Stats, UtteranceStarted, UtteranceEnded, SessionClosing} <= kinds
        assert type(seen[-1]) is SessionClosing


async def test_client_retries_a_busy_server_and_reports_a_refusal() -> None:
    settings = ServerSettings(max_sessions=1, retry_after_seconds=0.2)
    async with running(settings=settings) as address:
        async with StreamClient(f"ws://{address}"):
            with pytest.raises(RefusedError, match="all 1 sessions are taken") as refused:
                async with StreamClient(f"ws://{address}", backoff=ONCE):
                    pass
            assert refused.value.error.code is ErrorCode.BUSY
            later = StreamClient(f"ws://{address}", backoff=Backoff(attempts=100, maximum=0.5))
            waiting = asyncio.create_task(later.__aenter__())
            await asyncio.sleep(0.3)
            assert not waiting.done()
        async with asyncio.timeout(60):
            await waiting
        await later.__aexit__(None, None, None)
        with pytest.raises(RefusedError, match="unknown_avatar"):
            async with StreamClient(f"ws://{address}", SessionStart(avatar="nobody")):
                pass


async def test_client_reports_an_address_without_a_server() -> None:
    with bind("127.0.0.1", 0) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(StreamError, match="no Lipstream server answers there"):
        async with StreamClient(f"ws://127.0.0.1:{port}", backoff=Backoff(attempts=2, first=0.01)):
            pass
    with pytest.raises(StreamError, match="expected an address such as"):
        async with StreamClient("127.0.0.1", backoff=ONCE):
            pass


async def test_lost_connection_is_an_error() -> None:
    async with running() as address, StreamClient(f"ws://{address}") as client:
        client._socket.transport.abort()  # type: ignore[union-attr]
        with pytest.raises(ConnectionLostError, match="the connection was lost"):
            async for _ in client:
                pass
        with pytest.raises(ConnectionLostError):
            await client.say(tone(0.1))


async def test_reconnecting_client_opens_a_new_session_for_what_is_sent_meanwhile() -> None:
    async with running() as address, StreamClient(f"ws://{address}", reconnect=True) as client:
        assert client.ready is not None
        first = client.ready.session
        lost = client._socket
        assert lost is not None
        lost.transport.abort()
        await lost.wait_closed()
        saying = asyncio.create_task(client.say(tone(0.2)))
        await asyncio.sleep(0.1)
        assert not saying.done()
        seen = []
        async for message in client:
            if not isinstance(message, bytes | Stats):
                seen.append(message)
            if isinstance(message, UtteranceEnded):
                await client.end()
        await saying
    assert [message.type for message in seen] == [
        "session.ready",
        "utterance.started",
        "utterance.ended",
        "session.closing",
    ]
    assert isinstance(seen[0], SessionReady)
    assert seen[0].session != first
    assert seen[2].position_ms == 200


async def test_sender_that_waits_for_a_connection_fails_when_there_is_none() -> None:
    async with running() as address:
        client = StreamClient(f"ws://{address}", backoff=Backoff(attempts=2, first=0.01), reconnect=True)
        await client.__aenter__()
    saying = asyncio.create_task(client.say(tone(0.1)))
    with pytest.raises(StreamError, match="no Lipstream server answers"):
        async for _ in client:
            pass
    with pytest.raises(StreamError):
        await saying
    await client.__aexit__(None, None, None)


async def test_server_of_another_kind_is_an_error() -> None:
    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"type": "hello"}')

    async with serve(answer, "127.0.0.1", 0) as other:
        port = next(iter(other.sockets)).getsockname()[1]
        with pytest.raises(StreamError, match="expected a message of Lipstream's protocol"):
            async with StreamClient(f"ws://127.0.0.1:{port}", backoff=ONCE):
                pass


def test_backoff_delays_grow_to_a_maximum() -> None:
    waits = list(Backoff(attempts=8, first=1, maximum=4).delays())
    assert len(waits) == 7
    assert all(low <= wait <= high for wait, low, high in zip(waits[:3], (0.5, 1, 2), (1, 2, 4), strict=True))
    assert max(waits) <= 4
    assert list(ONCE.delays()) == []


def test_recordings_are_read_and_other_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone(0.5))
    assert read_audio(path) == tone(0.5)
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(StreamError, match=r"no\.wav: expected a recording"):
        read_audio(tmp_path / "no.wav")
