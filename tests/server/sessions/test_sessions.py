"""Sessions over a real WebSocket: interrupts, isolation, containers, stats, pacing."""

import asyncio
import time

import numpy as np
import pytest
from decoded_video import decode
from live_server import (
    CALM,
    Client,
    Interrupt,
    SessionEnd,
    StatsRequest,
    UtteranceEnd,
    connected,
    running,
    tone,
)
from websockets.asyncio.client import connect

from lipstream_server.config.settings import ServerSettings, WindowSettings
from lipstream_server.engines.stub import COLOURS, StubEngine
from lipstream_server.protocol import (
    PATH,
    Container,
    MediaTag,
    SessionReady,
    SessionStart,
    Stats,
    TaggedMedia,
    UtteranceEnded,
    UtteranceStarted,
)

SIDE = 64


def tagged(client: Client, tag: MediaTag) -> list[TaggedMedia]:
    return [unit for unit in map(TaggedMedia.unpack, client.binary) if unit.tag is tag]


def rgb_frames(client: Client) -> np.ndarray:
    return np.stack(
        [
            np.frombuffer(unit.payload, np.uint8).reshape(SIDE, SIDE, 3)
            for unit in tagged(client, MediaTag.RGB)
        ]
    )


async def test_interrupt_is_answered_and_no_media_of_the_utterance_follows() -> None:
    async with running() as address, connected(address, SessionStart(container="rgb")) as client:
        await client.send(tone(1.5))
        await client.send(UtteranceEnd())
        await client.until(UtteranceStarted)
        await client.media(12)
        await client.send(Interrupt())
        interrupted_at = time.monotonic()
        ended = await client.until(UtteranceEnded)
        answered = len(client.binary)
        await client.media(9)
        latency = client.times[-9] - interrupted_at
        await client.send(Interrupt())
        again = await client.until(UtteranceEnded)
        await client.send(SessionEnd())
        await client.to_the_end()
    assert (ended.utterance, ended.interrupted, again.utterance) == (1, True, None)
    assert 0 < ended.position_ms < 1500
    after = [TaggedMedia.unpack(message) for message in client.binary[answered:]]
    assert all(unit.utterance == 0 for unit in after)
    audio = np.concatenate([np.frombuffer(unit.payload, "<i2") for unit in after if unit.tag is MediaTag.PCM])
    assert not audio.any()
    assert all(
        np.frombuffer(unit.payload, np.uint8).reshape(SIDE, SIDE, 3)[56, 2, 1] == COLOURS["red"][1]
        for unit in after
        if unit.tag is MediaTag.RGB
    )
    assert latency < 2  # a bound for a machine with other things to do; bench/ measures it
    loud = [unit for unit in tagged(client, MediaTag.PCM) if np.frombuffer(unit.payload, "<i2").any()]
    assert ended.position_ms == pytest.approx(sum(len(unit.payload) for unit in loud) / 2 / 48, abs=80)


async def test_sessions_receive_only_their_own_frames_and_audio() -> None:
    """Each session has its own colour and level; their windows share batches."""
    engine = StubEngine(seconds_per_window=0.02)
    settings = ServerSettings(max_sessions=8, windows=WindowSettings(lengths=(8,)))
    levels = {"red": 0.15, "green": 0.3, "blue": 0.6, "grey": 0.9}

    async def run_session(address: str, colour: str) -> Client:
        async with connected(address, SessionStart(avatar=colour, container="rgb")) as client:
            for _ in range(2):
                await client.send(tone(0.6, level=levels[colour]))
                await client.send(UtteranceEnd())
                await client.until(UtteranceEnded)
            await client.send(SessionEnd())
            await client.to_the_end()
            return client

    async with running(engine, settings) as address:
        engine.batches.clear()
        clients = await asyncio.gather(*(run_session(address, colour) for colour in COLOURS))
    ids = {client.received[0].session for client in clients if isinstance(client.received[0], SessionReady)}
    assert len(ids) == 4
    for colour, client in zip(COLOURS, clients, strict=True):
        assert (rgb_frames(client)[:, 0, 0] == COLOURS[colour]).all()
        audio = np.concatenate([np.frombuffer(unit.payload, "<i2") for unit in tagged(client, MediaTag.PCM)])
        peak = np.abs(audio.astype(float)).max() / 32767
        assert peak == pytest.approx(levels[colour], abs=0.05)
        assert (np.abs(audio) > 100).sum() > 1.1 * 48_000 * 0.9
    assert max(engine.batches) > 1


@pytest.mark.parametrize("container", ["webm", "jpeg", "rgb"])
async def test_containers_hold_all_frames_and_audio(container: Container) -> None:
    async with running() as address, connected(address, SessionStart(container=container)) as client:
        await client.send(tone(0.3))
        await client.send(UtteranceEnd())
        await client.until(UtteranceEnded)
        await client.send(SessionEnd())
        assert await client.to_the_end() == 1000
    if container == "webm":
        frames, blocks = decode(b"".join(client.binary))
        assert [round(frame.time * 25) for frame in frames] == list(range(len(frames)))
        seconds = sum(block.samples for block in blocks) / 48_000
        assert seconds == pytest.approx(len(frames) / 25, abs=0.04)
    else:
        shown = tagged(client, MediaTag[container.upper()])
        assert [unit.position for unit in shown] == list(range(len(shown)))
        samples = sum(len(unit.payload) // 2 for unit in tagged(client, MediaTag.PCM))
        assert samples == len(shown) * 48_000 // 25
        assert {unit.utterance for unit in shown} == {0, 1}


async def test_fragments_hold_one_frame_while_few_sessions_are_active() -> None:
    async with (
        running(settings=CALM.replace(low_latency_max_sessions=1)) as address,
        connected(address, SessionStart(container="rgb")) as first,
    ):
        await first.media(6)
        async with connected(address, SessionStart(container="rgb")) as second:
            await second.media(6)
    alone, beside = (
        [len(unit.payload) // 2 for unit in tagged(each, MediaTag.PCM)] for each in (first, second)
    )
    assert alone[:3] == [1920, 1920, 1920]
    assert beside[:2] == [3840, 3840]


async def test_stats_of_a_still_idle_session() -> None:
    async with running() as address, connected(address, SessionStart(idle="still")) as client:
        await client.media(4)
        await client.send(StatsRequest())
        stats = await client.until(Stats)
    assert stats.state == "idle"
    assert stats.frames == stats.idle_frames >= 3
    assert stats.media_ms == stats.frames * 40
    assert (stats.repeated_frames, stats.buffered_ms, stats.sessions, stats.latency_ms) == (0, 0, 1, None)


async def test_stats_warn_of_repeated_frames() -> None:
    engine = StubEngine(seconds_per_frame=0.12)
    settings = ServerSettings(max_sessions=1, windows=WindowSettings(lengths=(4,)))
    async with running(engine, settings) as address, connected(address, SessionStart()) as client:
        await client.send(tone(2.0))
        await client.send(UtteranceEnd())
        while "repeated" not in str((stats := await client.until(Stats)).warning):
            pass
        assert stats.repeated_frames > 0
        assert (await client.until(UtteranceEnded)).position_ms == 2000


async def test_media_is_sent_in_real_time() -> None:
    """In a second about a second of media arrives; the bounds allow for a busy machine."""
    async with running() as address, connected(address, SessionStart(container="jpeg")) as client:
        await client.media(1)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.0:
            await client.next()
        shown = len(tagged(client, MediaTag.JPEG)) / 25
        assert 0.4 <= shown <= 1.3


async def test_sessions_are_closed_with_1012_when_the_server_stops() -> None:
    async with running() as address:
        socket = await connect(f"ws://{address}{PATH}", max_size=None)
        client = Client(socket)
        await client.send(SessionStart())
        await client.send(tone(1.0))
        await client.media(3)
    assert await client.to_the_end() == 1012
