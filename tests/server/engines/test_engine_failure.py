"""The engine's process is killed, stopped or poisoned under a real server: sessions go on, clips go on, nothing is said twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
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
    sessions=8, engine=EngineSettings(window_seconds=2.0, check_seconds=0.2, most_losses=6)
)
START = SessionStart(container="rgb", audio=AudioFormat(rate=RATE))


@asynccontextmanager
async def failing(
    engine: EngineProcess, settings: ServerSettings = SETTINGS, data: Path | None = None
) -> AsyncIterator[str]:
    """A server whose engine has a process of its own."""
    await asyncio.to_thread(engine.start)
    with engine:
        async with running(engine, settings, data=data) as address:
            yield address


def noise(seconds: float, seed: int = 0) -> bytes:
    """s16le at 48 kHz: no two samples alike, so that what is lost or repeated is seen. Never silent."""
    values = np.random.default_rng(seed).integers(1000, 20_000, round(seconds * RATE))
    return values.astype("<i2").tobytes()


@dataclass
class Heard:
    """What a session brought. shown: colours of pictures that show an utterance; late: when which stats came."""

    sound: list[bytes] = field(default_factory=list)
    pictures: int = 0
    colours: set[tuple[int, ...]] = field(default_factory=set)
    stats: list[Stats] = field(default_factory=list)
    started: int = 0
    ended: list[UtteranceEnded] = field(default_factory=list)
    errors: list[Error] = field(default_factory=list)
    closing: SessionClosing | None = None

    def take(self, message: object) -> None:
        match message:
            case bytes():
                self._media(TaggedMedia.unpack(message))
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

    def _media(self, unit: TaggedMedia) -> None:
        if unit.tag is MediaTag.PCM:
            self.sound.append(unit.payload)
        else:
            self.pictures += 1
            self.colours.add(tuple(unit.payload[:3]))

    def said(self) -> np.ndarray:
        """All that was not silence."""
        samples = np.frombuffer(b"".join(self.sound), "<i2")
        return samples[samples != 0]


async def talk(address: str, avatar: str, audio: bytes, heard: Heard, utterances: int = 1) -> Heard:
    """Say it, again and again, in one session that is not made anew."""
    start = START.model_copy(update={"avatar": avatar})
    async with StreamClient(f"ws://{address}", start) as client:
        await client.say(audio)
        async for message in client:
            heard.take(message)
            if isinstance(message, UtteranceEnded):
                if len(heard.ended) == utterances:
                    await client.end()
                else:
                    await client.say(audio)
    return heard


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
async def test_sessions_go_on_when_the_engine_is_lost_and_no_sound_is_lost_or_repeated(
    by: signal.Signals,
) -> None:
    engine = EngineProcess(calm, SETTINGS.engine)
    heard = {avatar: Heard() for avatar in COLOURS}
    async with failing(engine) as address:
        talks = [
            asyncio.create_task(talk(address, avatar, noise(4.0, seed), heard[avatar]))
            for seed, avatar in enumerate(COLOURS)
        ]
        await until(lambda: all(each.started and each.pictures > 10 for each in heard.values()))
        assert engine.pid is not None
        os.kill(engine.pid, by)
        await until(lambda: engine.health.restarts == 1)
        await asyncio.gather(*talks)
    for seed, (avatar, each) in enumerate(heard.items()):
        said = np.frombuffer(noise(4.0, seed), "<i2")
        assert len(each.said()) == len(said)
        assert np.abs(each.said().astype(int) - said).max() <= 1
        assert (each.ended[0].position_ms, each.ended[0].interrupted) == (4000, False)
        assert len(b"".join(each.sound)) // 2 == each.pictures * RATE // 25
        assert each.colours == {COLOURS[avatar]}
        assert each.closing == SessionClosing(reason="ended")
        told = [stats for stats in each.stats if stats.engine == "restarting"]
        assert any("the engine failed" in str(stats.warning) for stats in told)
        assert each.stats[-1].engine_restarts == 1
        assert "restarts since the server's start: 1" in " ".join(str(stats.warning) for stats in each.stats)


async def test_a_session_that_is_silent_meanwhile_shows_its_face_and_then_speaks() -> None:
    engine = EngineProcess(calm, SETTINGS.engine)
    async with failing(engine) as address, connected(address, START) as client:
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


async def test_a_window_that_no_engine_outlives_ends_its_session_and_no_other() -> None:
    engine = EngineProcess(poisoned, SETTINGS.engine)
    red, grey = Heard(), Heard()
    async with failing(engine) as address:
        good = asyncio.create_task(talk(address, "red", noise(1.0), red, 4))
        await until(lambda: red.started > 0)
        with pytest.raises(RefusedError):
            await talk(address, "grey", noise(1.0), grey)
        await good
        assert (await get(address, "/readyz"))[0] == 200
    assert grey.closing == SessionClosing(reason="internal")
    assert [each.position_ms for each in red.ended] == [1000] * 4
    assert len(red.said()) == 4 * RATE


async def test_a_device_that_has_room_for_one_window_makes_all_of_them() -> None:
    engine = EngineProcess(narrow, SETTINGS.engine)
    heard = {avatar: Heard() for avatar in COLOURS}
    async with failing(engine) as address:
        await asyncio.gather(*(talk(address, avatar, noise(1.0), each) for avatar, each in heard.items()))
    for each in heard.values():
        assert (each.ended[0].position_ms, len(each.said())) == (1000, RATE)
    assert engine.health.restarts == 0


async def test_an_engine_that_is_given_up_ends_sessions_with_its_reason_and_the_probes_say_so() -> None:
    settings = replace(SETTINGS, engine=replace(SETTINGS.engine, most_losses=3))
    engine = EngineProcess(dying, settings.engine)
    async with failing(engine, settings) as address, connected(address, SessionStart()) as silent:
        listening = asyncio.create_task(silent.to_the_end())
        assert (await get(address, "/healthz"))[0] == 200
        for reason in ("internal", "engine_lost"):  # the first tries it three times
            heard = Heard()
            with pytest.raises(RefusedError):
                await talk(address, "red", noise(0.5), heard)
            assert heard.closing == SessionClosing(reason=reason)
        assert await listening == 1011
        assert "engine_lost" in [each.code for each in silent.received if isinstance(each, Error)]
        assert silent.received[-1] == SessionClosing(reason="engine_lost")
        status, headers, body = await get(address, "/readyz")
        assert (status, "retry-after" in headers, json.loads(body)["status"]) == (503, True, "lost")
        status, _, body = await get(address, "/healthz")
        said = json.loads(body)
        assert (status, said["status"]) == (503, "dead")
        assert "failed too often" in said["reason"]
        assert "\nlipstream_alive 0.0\n" in (await get(address, "/metrics"))[2]


async def test_a_clip_goes_on_where_it_was(tmp_path: Path) -> None:
    engine = EngineProcess(partial(StubEngine, seconds_per_window=0.1), SETTINGS.engine)
    (audio := tmp_path / "speech.wav").write_bytes(wav(4.0))
    async with failing(engine, data=tmp_path / "data") as address:
        rest = RestClient(f"http://{address}")
        clip = await asyncio.to_thread(rest.create_clip, audio)
        done = 0
        while done < 32:
            done = (await asyncio.to_thread(rest.clip, clip.id)).frames_done
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        seen = []
        while not (now := await asyncio.to_thread(rest.clip, clip.id)).final:
            seen.append(now.frames_done)
        assert now.state == "succeeded"
        assert engine.health.restarts == 1
        assert min(seen) >= done  # not from the beginning


@pytest.mark.parametrize(
    ("by", "stopped"), [(signal.SIGTERM, False), (signal.SIGKILL, False), (signal.SIGKILL, True)]
)
def test_no_process_is_left_when_the_server_ends(by: signal.Signals, stopped: bool, tmp_path: Path) -> None:
    port = free_port(8790)
    command = [sys.executable, "-m", "lipstream_client", "serve", "--stub", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            asyncio.run(_ready(port))
            children = descendants(server.pid)
            assert len(children) >= 2  # the engine, and what it is copied from
            if stopped:
                os.kill(children[-1], signal.SIGSTOP)  # descendants come after those that they descend from
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
