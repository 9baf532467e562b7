"""Drain of a server: sessions go on up to the limit, accepted clips are kept, and the exit code is 0."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest
from live_server import (
    Client,
    SessionEnd,
    UtteranceEnd,
    connected,
    get,
    tone,
)
from rest_client import (
    CLIPS,
    ask_json,
    finished,
    post,
    wav,
)
from server_process import Process, serving

from lipstream_client.stream_client import StreamClient
from lipstream_server.observability.drain import Drain
from lipstream_server.protocol import (
    AudioFormat,
    Error,
    SessionClosing,
    SessionStart,
    UtteranceEnded,
)

LIMIT = 4.0


async def end_by_itself(address: str) -> Client:
    """Send an utterance, wait for its end, and end the session."""
    async with connected(address, SessionStart()) as client:
        await client.send(tone(1.5))
        await client.send(UtteranceEnd())
        await client.until(UtteranceEnded)
        await client.send(SessionEnd())
        assert await client.to_the_end() == 1000
        return client


async def stay(address: str) -> tuple[Client, int | None, float]:
    """Stay until the server closes; return the client, its close code and the time."""
    async with connected(address, SessionStart()) as client:
        code = await client.to_the_end()
        return client, code, time.monotonic()


async def drain_under_load(process: Process, stopping: signal.Signals) -> list[str]:
    """Put load on the server, send the signal, check what clients see; return the accepted clips."""
    accepted = [
        (await post(process.address, CLIPS, audio=wav(20.0), avatar="red"))[2]["id"] for _ in range(3)
    ]
    leaving = [asyncio.create_task(end_by_itself(process.address)) for _ in range(4)]
    staying = [asyncio.create_task(stay(process.address)) for _ in range(4)]
    await asyncio.sleep(1.0)
    process.signal(stopping)
    signalled_at = time.monotonic()
    await until_draining(process.address)
    status, headers, body = await get(process.address, "/readyz")
    assert (status, headers["retry-after"], json.loads(body)["status"]) == (503, "5", "draining")
    async with connected(process.address) as refused:
        await refused.send(SessionStart())
        assert (await refused.until(Error)).retry_after == 5.0
        assert await refused.to_the_end() == 1013
    assert (await post(process.address, CLIPS, audio=wav(0.5), avatar="red"))[0] == 503
    for client in await asyncio.gather(*leaving):
        closing = [each for each in client.received if isinstance(each, SessionClosing)]
        assert [each.reason for each in closing] in (["shutdown", "ended"], ["ended"])
    for client, code, closed in await asyncio.gather(*staying):
        first, last = [each for each in client.received if isinstance(each, SessionClosing)]
        assert (first.reason, last.reason, last.seconds_left, code) == ("shutdown", "shutdown", None, 1012)
        assert first.seconds_left == pytest.approx(LIMIT, abs=1.5)
        assert closed - signalled_at >= LIMIT - 0.1
        at = next(n for n, each in enumerate(client.received) if each is first)
        assert len([each for each in client.received[at:] if isinstance(each, bytes)]) > LIMIT * 12.5 / 3
    return accepted


async def until_draining(address: str) -> None:
    async with asyncio.timeout(10):
        while json.loads((await get(address, "/readyz"))[2])["status"] != "draining":
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("stopping", [signal.SIGTERM, signal.SIGINT])
async def test_drain_under_load_cuts_off_no_session_and_loses_no_clip(
    stopping: signal.Signals, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(data, "--max-sessions", "8", "--drain-seconds", str(LIMIT)) as process:
        accepted = await drain_under_load(process, stopping)
        assert process.wait(20) == 0, process.log.read_text()
        assert not [line for line in process.lines() if line["level"] in ("warning", "error")]
    with serving(data) as process:
        states = [(await finished(process.address, clip))["state"] for clip in accepted]
    assert states == ["succeeded"] * 3


async def test_drain_without_sessions_requeues_the_running_clip_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as process:
        _, _, clip = await post(process.address, CLIPS, audio=wav(45.0), avatar="red")
        await until_running(process.address, clip["id"])
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        (clip_ended,) = process.events("clip ended")
        assert (clip_ended["clip"], clip_ended["outcome"]) == (clip["id"], "queued again")
    with serving(data) as process:
        assert (await finished(process.address, clip["id"]))["state"] == "succeeded"


async def until_running(address: str, clip: str) -> None:
    async with asyncio.timeout(30):
        while (await ask_json(address, "GET", f"{CLIPS}/{clip}"))[1]["state"] != "running":
            await asyncio.sleep(0.02)


async def test_second_signal_stops_the_server_now(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--drain-seconds", "60") as process:
        staying = asyncio.create_task(stay(process.address))
        await asyncio.sleep(0.5)
        process.signal(signal.SIGTERM)
        await until_draining(process.address)
        process.signal(signal.SIGTERM)
        assert await within_15_seconds(asyncio.to_thread(process.wait, 10)) in (0, 1)
        assert (await staying)[1] in (1012, 1006)


async def within_15_seconds(waiting: Awaitable[int]) -> int:
    async with asyncio.timeout(15):
        return await waiting


def test_drain_waits_for_sessions_up_to_its_limit() -> None:
    drain = Drain(10.0)
    assert (drain.has_started, drain.is_done(0.0), drain.seconds_left(5.0)) == (False, False, float("inf"))
    with drain.session():
        drain.start(100.0)
        drain.start(105.0)  # a second call changes nothing
        assert (drain.seconds_left(104.0), drain.is_done(104.0)) == (6.0, False)
        assert (drain.seconds_left(110.0), drain.is_done(110.5)) == (0.0, False)
        assert drain.is_done(111.5)
    assert drain.is_done(104.0)


async def test_python_client_streams_on_to_the_end_of_its_recording(tmp_path: Path) -> None:
    """The Python client does not take the advance notice for the end."""
    with serving(tmp_path / "data") as process:
        start = SessionStart(audio=AudioFormat(rate=16_000))
        async with StreamClient(f"ws://{process.address}", start) as client:
            await client.say(tone(1.5))
            process.signal(signal.SIGTERM)
            announced = shown = 0
            async for message in client:
                announced += isinstance(message, SessionClosing) and message.seconds_left is not None
                shown += isinstance(message, bytes) and announced > 0
                if isinstance(message, UtteranceEnded):
                    assert message.position_ms == 1500
                    await client.end()
        assert (announced, process.wait(10)) == (1, 0)
        assert shown > 5
