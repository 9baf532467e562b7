"""A server whose engine process is killed, stopped or crashes: sessions and clips continue, no audio is lost or repeated."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from failing_engines import (
    calm,
    dying,
    gone,
    narrow,
    poisoned,
)
from live_server import (
    connected,
    get,
    running,
    until,
)
from rest_client import wav

from lipstream_bench.live.server_process import descendants
from lipstream_client.errors import RefusedError
from lipstream_client.rest import RestClient
from lipstream_client.stream_client import StreamClient
from lipstream_server.commands.demo import free_port
from lipstream_server.config.settings import EngineSettings, ServerSettings
from lipstream_server.engines.remote.proxy import EngineProcess
from lipstream_server.engines.stub import COLOURS, StubEngine
from lipstream_server.protocol import (
    AudioFormat,
    Error,
    MediaTag,
    SessionClosing,
    SessionStart,
    Stats,
    TaggedMedia,
    UtteranceEnded,
    UtteranceStarted,
)

SIDE, RATE = 64, 48_000
SETTINGS = ServerSettings(
    max_sessions=8,
    engine=EngineSettings(window_timeout_seconds=2.0, health_check_seconds=0.2, max_restarts=6),
)
START = SessionStart(container="rgb", audio=AudioFormat(rate=RATE))


@asynccontextmanager
async def serving(
    engine: EngineProcess, settings: ServerSettings = SETTINGS, data: Path | None = None
) -> AsyncIterator[str]:
    """Run a server whose engine has a process of its own."""
    await asyncio.to_thread(engine.start)
    with engine:
        async with running(engine, settings, data=data) as address:
            yield address


def noise(seconds: float, seed: int = 0) -> bytes:
    """Return s16le at 48 kHz in which lost or repeated samples show. Never silent."""
    values = np.random.default_rng(seed).integers(1000, 20_000, round(seconds * RATE))
    return values.astype("<i2").tobytes()


@dataclass
class Received:
    """What a client received in a session."""

    audio: list[bytes] = field(default_factory=list)
    frames: int = 0
    colours: set[tuple[int, ...]] = field(default_factory=set)
    stats: list[Stats] = field(default_factory=list)
    started: int = 0
    ended: list[UtteranceEnded] = field(default_factory=list)
    errors: list[Error] = field(default_factory=list)
    closing: SessionClosing | None = None

    def add(self, message: object) -> None:
        match message:
            case bytes():
                self._add_media(TaggedMedia.unpack(message))
            case Stats():
                self.stats.append(message)
            case UtteranceStarted():
                self.started += 1
            case UtteranceEnded():
                self.ended.append(message)
            case Error():
                self.errors.append(message)
            case SessionClosing():
                self.closing = message

    def _add_media(self, unit: TaggedMedia) -> None:
        if unit.tag is MediaTag.PCM:
            self.audio.append(unit.payload)
        else:
            self.frames += 1
            self.colours.add(tuple(unit.payload[:3]))

    def speech(self) -> np.ndarray:
        """Return all samples that are not silence."""
        samples = np.frombuffer(b"".join(self.audio), "<i2")
        return samples[samples != 0]


async def talk(address: str, avatar: str, audio: bytes, received: Received, utterances: int = 1) -> Received:
    """Send the audio as several utterances of one session without reconnecting."""
    start = START.model_copy(update={"avatar": avatar})
    async with StreamClient(f"ws://{address}", start) as client:
        await client.say(audio)
        async for message in client:
            received.add(message)
            if isinstance(message, UtteranceEnded):
                if len(received.ended) == utterances:
                    await client.end()
                else:
                    await client.say(audio)
    return received


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
async def test_sessions_continue_without_lost_or_repeated_audio_when_the_engine_dies(
    by: signal.Signals,
) -> None:
    engine = EngineProcess.create(calm, SETTINGS.engine)
    received = {avatar: Received() for avatar in COLOURS}
    async with serving(engine) as address:
        conversations = [
            asyncio.create_task(talk(address, avatar, noise(4.0, seed), received[avatar]))
            for seed, avatar in enumerate(COLOURS)
        ]
        await until(lambda: all(each.started and each.frames > 10 for each in received.values()))
        assert engine.pid is not None
        os.kill(engine.pid, by)
        await until(lambda: engine.health.restarts == 1)
        await asyncio.gather(*conversations)
    for seed, (avatar, each) in enumerate(received.items()):
        sent = np.frombuffer(noise(4.0, seed), "<i2")
        assert len(each.speech()) == len(sent)
        assert np.abs(each.speech().astype(int) - sent).max() <= 1
        assert (each.ended[0].position_ms, each.ended[0].interrupted) == (4000, False)
        assert len(b"".join(each.audio)) // 2 == each.frames * RATE // 25
        assert each.colours == {COLOURS[avatar]}
        assert each.closing == SessionClosing(reason="ended")
        restarting = [stats for stats in each.stats if stats.engine == "restarting"]
        assert any("the engine failed" in str(stats.warning) for stats in restarting)
        assert each.stats[-1].engine_restarts == 1
        assert "restarts since the server's start: 1" in " ".join(str(stats.warning) for stats in each.stats)


async def test_silent_session_keeps_playing_while_the_engine_restarts_and_then_speaks() -> None:
    engine = EngineProcess.create(calm, SETTINGS.engine)
    async with serving(engine) as address, connected(address, START) as client:
        await client.media(4)
        for restarts in (1, 2):
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            await client.media(10)
            await until(lambda restarts=restarts: engine.health.restarts == restarts)
        await client.send(noise(0.5))
        ended = await client.until(UtteranceEnded)
        assert ended.position_ms == 500
        assert "\nlipstream_engine_restarts_total 2.0\n" in (await get(address, "/metrics"))[2]


async def test_window_that_kills_every_engine_ends_only_its_own_session() -> None:
    engine = EngineProcess.create(poisoned, SETTINGS.engine)
    red, grey = Received(), Received()
    async with serving(engine) as address:
        good = asyncio.create_task(talk(address, "red", noise(1.0), red, 4))
        await until(lambda: red.started > 0)
        with pytest.raises(RefusedError):
            await talk(address, "grey", noise(1.0), grey)
        await good
        assert (await get(address, "/readyz"))[0] == 200
    assert grey.closing == SessionClosing(reason="internal")
    assert [each.position_ms for each in red.ended] == [1000] * 4
    assert len(red.speech()) == 4 * RATE


async def test_device_with_room_for_one_window_serves_all_sessions() -> None:
    engine = EngineProcess.create(narrow, SETTINGS.engine)
    received = {avatar: Received() for avatar in COLOURS}
    async with serving(engine) as address:
        await asyncio.gather(*(talk(address, avatar, noise(1.0), each) for avatar, each in received.items()))
    for each in received.values():
        assert (each.ended[0].position_ms, len(each.speech())) == (1000, RATE)
    assert engine.health.restarts == 0


async def test_engine_that_is_given_up_closes_sessions_and_fails_the_probes() -> None:
    settings = SETTINGS.replace(engine=SETTINGS.engine.replace(max_restarts=3))
    engine = EngineProcess.create(dying, settings.engine)
    async with serving(engine, settings) as address, connected(address, SessionStart()) as silent:
        listening = asyncio.create_task(silent.to_the_end())
        assert (await get(address, "/healthz"))[0] == 200
        for reason in ("internal", "engine_lost"):  # the first one uses up three attempts
            received = Received()
            with pytest.raises(RefusedError):
                await talk(address, "red", noise(0.5), received)
            assert received.closing == SessionClosing(reason=reason)
        assert await listening == 1011
        assert "engine_lost" in [each.code for each in silent.received if isinstance(each, Error)]
        assert silent.received[-1] == SessionClosing(reason="engine_lost")
        status, headers, body = await get(address, "/readyz")
        assert (status, "retry-after" in headers, json.loads(body)["status"]) == (503, True, "lost")
        status, _, body = await get(address, "/healthz")
        reply = json.loads(body)
        assert (status, reply["status"]) == (503, "dead")
        assert "failed too often" in reply["reason"]
        assert "\nlipstream_alive 0.0\n" in (await get(address, "/metrics"))[2]


async def test_clip_continues_where_it_was_after_a_restart(tmp_path: Path) -> None:
    engine = EngineProcess.create(partial(StubEngine, seconds_per_window=0.1), SETTINGS.engine)
    (audio := tmp_path / "speech.wav").write_bytes(wav(4.0))
    async with serving(engine, data=tmp_path / "data") as address:
        rest = RestClient(f"http://{address}")
        clip = await asyncio.to_thread(rest.create_clip, audio)
        done = 0
        while done < 32:
            done = (await asyncio.to_thread(rest.clip, clip.id)).frames_done
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        progress = []
        while not (now := await asyncio.to_thread(rest.clip, clip.id)).final:
            progress.append(now.frames_done)
        assert now.state == "succeeded"
        assert engine.health.restarts == 1
        assert min(progress) >= done  # it did not start over


@pytest.mark.parametrize(
    ("by", "stopped"), [(signal.SIGTERM, False), (signal.SIGKILL, False), (signal.SIGKILL, True)]
)
def test_no_process_outlives_the_server(by: signal.Signals, stopped: bool, tmp_path: Path) -> None:
    port = free_port(8790)
    command = [sys.executable, "-m", "lipstream_client", "serve", "--stub", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            asyncio.run(_ready(port))
            children = descendants(server.pid)
            assert len(children) >= 2  # the engine and the fork server
            if stopped:
                os.kill(children[-1], signal.SIGSTOP)  # children come after their parents
        finally:
            server.send_signal(by)
        server.wait(60)
    assert gone(children)


async def _ready(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await get(f"127.0.0.1:{port}", "/readyz"))[0] == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.05)
