"""Invalid input and failing connections over a real WebSocket."""

import asyncio
import base64
import json
import threading

import numpy as np
import pytest
from live_server import (
    CALM,
    AudioAppend,
    Interrupt,
    Ping,
    SessionEnd,
    StatsRequest,
    UtteranceEnd,
    connected,
    get,
    running,
    tone,
    until,
)

from lipstream_server.config.settings import ConversationSettings, ServerSettings
from lipstream_server.engines.base import WindowRequest, WindowResult
from lipstream_server.engines.stub import StubEngine
from lipstream_server.protocol import (
    CloseCode,
    Error,
    ErrorCode,
    Pong,
    SessionClosing,
    SessionReady,
    SessionStart,
    Stats,
    UtteranceEnded,
    UtteranceStarted,
)

BAD_TEXT = {
    "no JSON": "{",
    "no object": "[]",
    "no type": "{}",
    "an unknown type": '{"type": "warp"}',
    "a server's type": '{"type": "pong"}',
    "an unknown key": '{"type": "ping", "speed": 9}',
    "a number as text": '{"type": "ping", "id": 3}',
    "an empty text": "",
}


async def test_malformed_messages_are_answered_and_the_session_goes_on() -> None:
    async with running() as address, connected(address, SessionStart()) as client:
        for text in BAD_TEXT.values():
            await client.send(text)
            error = await client.until(Error)
            assert (error.code, error.fatal) == (ErrorCode.BAD_MESSAGE, False), text
        await client.send(Ping(id="still there"))
        assert (await client.until(Pong)).id == "still there"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"audio": {"rate": 7999}}, "audio.rate: Input should be greater than or equal to 8000"),
        ({"audio": {"rate": 96000}}, "audio.rate: Input should be less than or equal to 48000"),
        ({"audio": {"channels": 3}}, "audio.channels"),
        ({"audio": {"encoding": "mp3"}}, "audio.encoding"),
        ({"container": "avi"}, "container"),
        ({"avatar": ""}, "avatar"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
async def test_invalid_session_start_is_answered_with_the_field_and_its_rule(
    wrong: dict, expected: str
) -> None:
    async with running() as address, connected(address) as client:
        await client.send(json.dumps({"type": "session.start", **wrong}))
        error = await client.until(Error)
        assert (error.code, error.fatal) == (ErrorCode.BAD_MESSAGE, False)
        assert expected in error.message
        await client.send(SessionStart())
        await client.until(SessionReady)


async def test_messages_before_session_start_are_rejected() -> None:
    async with running() as address, connected(address) as client:
        for early in (tone(0.1), Interrupt(), UtteranceEnd(), StatsRequest(), AudioAppend(audio="AAAA")):
            await client.send(early)
            assert (await client.until(Error)).code is ErrorCode.NOT_STARTED
        await client.send(Ping())
        await client.until(Pong)
        await client.send(SessionStart())
        await client.until(SessionReady)
        await client.send(SessionStart())
        error = await client.until(Error)
        assert (error.code, error.fatal) == (ErrorCode.ALREADY_STARTED, False)


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (SessionStart(avatar="nobody"), ErrorCode.UNKNOWN_AVATAR),
        (SessionStart(preset="warp"), ErrorCode.UNKNOWN_PRESET),
    ],
)
async def test_unknown_avatar_or_preset_ends_the_session(start: SessionStart, code: ErrorCode) -> None:
    async with running() as address, connected(address) as client:
        await client.send(start)
        error = await client.until(Error)
        assert (error.code, error.fatal) == (code, True)
        assert (await client.until(SessionClosing)).reason == "unknown"
        assert await client.to_the_end() == CloseCode.UNKNOWN


async def test_invalid_base64_and_incomplete_samples_are_reported() -> None:
    async with running() as address, connected(address, SessionStart()) as client:
        await client.send(AudioAppend(audio="not base64!"))
        assert (await client.until(Error)).code is ErrorCode.BAD_AUDIO
        odd = tone(0.5)[:-1]
        await client.send(AudioAppend(audio=base64.b64encode(odd[:7]).decode()))
        await client.send(odd[7:])
        await client.send(b"")
        await client.send(UtteranceEnd())
        error = await client.until(Error)
        assert (error.code, error.fatal) == (ErrorCode.BAD_AUDIO, False)
        assert "expected 2 bytes, got 1" in error.message
        assert (await client.until(UtteranceEnded)).position_ms == pytest.approx(500, abs=0.1)


async def test_samples_that_are_not_finite_are_repaired_and_counted() -> None:
    start = json.dumps(
        {"type": "session.start", "audio": {"encoding": "f32le", "channels": 2, "rate": 24000}}
    )
    samples = np.full((12_000, 2), 0.25, np.float32)
    samples[:100, 0], samples[100:200, 1], samples[200:300] = np.nan, -np.inf, 7
    async with running() as address, connected(address) as client:
        await client.send(start)
        await client.send(samples.tobytes())
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 500
        await client.send(StatsRequest())
        while (stats := await client.until(Stats)).warning is not None:
            pass
        assert stats.repaired_samples == 400


async def test_messages_beyond_the_size_limit_close_the_connection() -> None:
    async with running() as address:
        async with connected(address, SessionStart()) as client:
            await client.send(bytes((1 << 20) + 1))
            assert await client.to_the_end() == CloseCode.TOO_BIG
        async with connected(address, SessionStart()):
            async with asyncio.timeout(60):
                while '"sessions":1' not in (await get(address, "/readyz"))[2]:
                    await asyncio.sleep(0.05)


async def test_too_many_errors_end_the_session() -> None:
    settings = ServerSettings(max_sessions=1, max_client_errors=3)
    async with running(settings=settings) as address, connected(address, SessionStart()) as client:
        for _ in range(4):
            await client.send("?")
        assert await client.to_the_end() == CloseCode.PROTOCOL
        errors = [message for message in client.received if isinstance(message, Error)]
        assert [error.code for error in errors] == [ErrorCode.BAD_MESSAGE] * 3 + [ErrorCode.TOO_MANY_ERRORS]
        assert client.kinds()[-1] == "session.closing"


async def test_idle_timeouts_close_connections_before_and_after_session_start() -> None:
    settings = ServerSettings(max_sessions=1, start_timeout_seconds=0.2, idle_timeout_seconds=0.3)
    async with running(settings=settings) as address:
        async with connected(address) as client:
            assert await client.to_the_end() == CloseCode.IDLE
        async with connected(address) as client:
            await client.send(SessionStart())
            assert await client.to_the_end() == CloseCode.IDLE
            assert client.kinds() == ["session.ready", "session.closing"]


async def test_audio_beyond_the_buffer_limit_is_rejected_and_the_rest_is_shown() -> None:
    settings = ServerSettings(
        max_sessions=1, windows=CALM.windows, conversation=ConversationSettings(max_buffered_seconds=1.0)
    )
    async with running(settings=settings) as address, connected(address, SessionStart()) as client:
        await client.send(tone(0.8))
        await client.send(tone(0.8))
        error = await client.until(Error)
        assert (error.code, error.fatal) == (ErrorCode.BUFFER_FULL, False)
        assert "the limit is 1000 ms" in error.message
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 800


async def test_last_session_slot_is_given_once_and_refusals_have_a_retry_time() -> None:
    settings = ServerSettings(max_sessions=1, retry_after_seconds=7)
    async with running(settings=settings) as address:
        async with connected(address, SessionStart()):
            status, headers, body = await get(address, "/readyz")
            assert (status, headers["retry-after"]) == (503, "7")
            assert '"full"' in body
            assert (await get(address, "/healthz"))[0] == 200
            async with connected(address) as refused:
                await refused.send(SessionStart())
                error = await refused.until(Error)
                assert (error.code, error.fatal, error.retry_after) == (ErrorCode.BUSY, True, 7)
                assert await refused.to_the_end() == CloseCode.BUSY
        async with asyncio.timeout(30):
            while (await get(address, "/readyz"))[0] != 200:
                await asyncio.sleep(0.05)
        async with connected(address, SessionStart()) as client:
            assert client.kinds() == ["session.ready"]


async def test_vanished_clients_leave_no_tasks_or_threads() -> None:
    async with running() as address:
        await asyncio.sleep(0.1)
        tasks = len(asyncio.all_tasks())
        for round_ in range(5):
            async with connected(address, SessionStart()) as client:
                await client.send(tone(0.5))
                if round_ == 0:
                    await client.until(UtteranceStarted)
                client.socket.transport.abort()
        async with asyncio.timeout(60):
            while '"sessions":0' not in (await get(address, "/readyz"))[2]:
                await asyncio.sleep(0.05)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("device", "encoder"))]


async def test_slow_reader_is_closed() -> None:
    settings = ServerSettings(max_sessions=1, send_timeout_seconds=0.5)
    async with running(StubEngine(side=256), settings) as address, connected(address) as client:
        await client.send(SessionStart(container="rgb"))  # 5 MB a second
        client.socket.transport.pause_reading()
        async with asyncio.timeout(60):
            while '"sessions":0' not in (await get(address, "/readyz"))[2]:
                await asyncio.sleep(0.1)
        client.socket.transport.abort()


async def test_half_open_connection_is_closed() -> None:
    """The client neither reads nor answers pings, as after a network failure."""
    async with running(ping_seconds=0.5) as address, connected(address, SessionStart()) as client:
        client.socket.transport.pause_reading()
        async with asyncio.timeout(60):
            while '"sessions":0' not in (await get(address, "/readyz"))[2]:
                await asyncio.sleep(0.1)
        client.socket.transport.abort()


class FailingEngine(StubEngine):
    """Fails for the red avatar."""

    def generate(self, requests: list[WindowRequest]) -> list[WindowResult]:
        if self.ready and any(request.stream.avatar == "red" for request in requests):  # type: ignore[attr-defined]
            raise RuntimeError("out of memory")
        return super().generate(requests)

    ready = False


async def test_engine_error_of_one_session_does_not_fail_another() -> None:
    engine = FailingEngine()
    async with running(engine) as address:
        engine.ready = True
        async with (
            connected(address, SessionStart(avatar="red")) as red,
            connected(address, SessionStart(avatar="blue")) as blue,
        ):
            for client in (red, blue):
                await client.send(tone(0.3))
                await client.send(UtteranceEnd())
            assert await red.to_the_end() == CloseCode.INTERNAL
            assert "out of memory" not in str(red.received)
            assert (await blue.until(UtteranceEnded)).position_ms == 300
            await blue.send(SessionEnd())
            assert await blue.to_the_end() == CloseCode.NORMAL
