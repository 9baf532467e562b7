"""The Python client against a real server."""

import asyncio
import re
import wave
from pathlib import Path

import pytest

from lipstream_client import stream_command
from lipstream_client.errors import RefusedError, StreamError
from lipstream_client.stream_client import Backoff, StreamClient
from lipstream_client.streaming import read_audio, stream_audio, tracks
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
from lipstream_server.settings import ServerSettings
from live_server import bind, running, tone

ONCE = Backoff(attempts=1)
README = Path(__file__).parents[1] / "clients" / "README.md"


async def test_events_are_typed_and_media_is_bytes() -> None:
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


async def test_a_recording_at_the_pace_of_a_microphone() -> None:
    async with running() as address:
        outcome = await stream_audio(f"ws://{address}", tone(1.2), "blue")
    assert outcome.first_frame is not None
    # The whole utterance is one window in this server, so nothing shows before it has ended.
    assert outcome.first_frame >= 1.1
    made = tracks(outcome.data)
    assert made.frames >= 60
    assert abs(made.skew) <= 0.04
    assert "skew" in stream_command.report(outcome)


async def test_a_busy_server_is_asked_again_and_a_refusal_is_told() -> None:
    settings = ServerSettings(sessions=1, retry_seconds=0.2)
    async with running(settings=settings) as address:
        async with StreamClient(f"ws://{address}"):
            with pytest.raises(RefusedError, match="all 1 sessions are taken") as refused:
                async with StreamClient(f"ws://{address}", backoff=ONCE):
                    pass
            assert refused.value.error.code is ErrorCode.BUSY
            later = StreamClient(f"ws://{address}", backoff=Backoff(attempts=100, most=0.5))
            waiting = asyncio.create_task(later.__aenter__())
            await asyncio.sleep(0.3)
            assert not waiting.done()
        async with asyncio.timeout(60):
            await waiting
        await later.__aexit__(None, None, None)
        with pytest.raises(RefusedError, match="unknown_avatar"):
            async with StreamClient(f"ws://{address}", SessionStart(avatar="nobody")):
                pass


async def test_where_nobody_listens() -> None:
    with bind("127.0.0.1", 0) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(StreamError, match="no Lipstream server answers there"):
        async with StreamClient(f"ws://127.0.0.1:{port}", backoff=Backoff(attempts=2, first=0.01)):
            pass
    with pytest.raises(StreamError, match="expected an address such as"):
        async with StreamClient("127.0.0.1", backoff=ONCE):
            pass


async def test_a_lost_connection_is_an_error_or_a_new_session() -> None:
    async with running() as address:
        async with StreamClient(f"ws://{address}") as client:
            client._socket.transport.abort()  # type: ignore[union-attr]
            with pytest.raises(StreamError, match="the connection was lost"):
                async for _ in client:
                    pass
        async with StreamClient(f"ws://{address}", reconnect=True) as client:
            first = client.ready
            client._socket.transport.abort()  # type: ignore[union-attr]
            async for message in client:
                if isinstance(message, SessionReady):
                    assert first is not None
                    assert message.session != first.session
                    break


def test_waits_grow_to_a_bound() -> None:
    waits = list(Backoff(attempts=8, first=1, most=4).waits())
    assert len(waits) == 7
    assert all(low <= wait <= high for wait, low, high in zip(waits[:3], (0.5, 1, 2), (1, 2, 4), strict=True))
    assert max(waits) <= 4
    assert list(ONCE.waits()) == []


def test_quantiles() -> None:
    values = [float(number) for number in range(1, 101)]
    assert stream_command.quantile(values, 0.5) == 50
    assert stream_command.quantile(values, 0.95) == 95
    assert stream_command.quantile([7.0], 0.95) == 7


def test_recordings_are_read_and_what_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(tone(0.5))
    assert read_audio(path) == tone(0.5)
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(StreamError, match=r"no\.wav: expected a recording"):
        read_audio(tmp_path / "no.wav")


async def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len([line for line in code.splitlines() if line]) <= 12
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech.raw").write_bytes(tone(0.4))
    async with running() as address:
        runnable = code.replace("127.0.0.1:8000", address)
        await asyncio.to_thread(exec, runnable, {})
    assert tracks((tmp_path / "talk.mp4").read_bytes()).frames > 10
