"""Metrics of a real server after real sessions, and their documentation."""

import re
from pathlib import Path

from live_server import (
    CALM,
    SessionEnd,
    UtteranceEnd,
    ask,
    connected,
    get,
    running,
    tone,
    until_ready,
)
from rest_client import (
    CLIPS,
    finished,
    post,
    wav,
)
from scraped_metrics import scrape

from lipstream_server.config.settings import ServerSettings, WindowSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.observability.metrics import Metrics
from lipstream_server.protocol import (
    Error,
    SessionStart,
    UtteranceEnded,
    UtteranceStarted,
)

GUIDE = Path(__file__).parents[3] / "docker" / "README.md"


async def test_metrics_count_a_session_from_its_start_to_its_end() -> None:
    async with running() as address:
        before = await scrape(address)
        async with connected(address, SessionStart()) as client:
            await client.send(tone(1.0))
            await client.send(UtteranceEnd())
            await client.until(UtteranceStarted)
            during = await scrape(address)
            await client.until(UtteranceEnded)
            await client.send(SessionEnd())
            await client.to_the_end()
        after = await scrape(address)
    assert not [name for name, _ in before if name == "lipstream_windows_total"]  # warm-up does not count
    assert (before[("lipstream_ready", ())], before[("lipstream_alive", ())]) == (1, 1)
    assert during[("lipstream_sessions", ())] == 1
    assert 0 < during[("lipstream_buffered_audio_seconds", ())] <= 1.0
    assert after[("lipstream_sessions", ())] == 0
    assert after[("lipstream_sessions_limit", ())] == CALM.max_sessions
    assert after[("lipstream_sessions_ended_total", ("ended",))] == 1
    windows = after[("lipstream_windows_total", ("1", "session", "realtime"))]
    assert windows >= 1
    for stage in ("queueing", "audio_encoding", "denoising", "decoding"):
        assert after[("lipstream_stage_duration_seconds_count", (stage,))] == windows
    fragments = after[("lipstream_stage_duration_seconds_count", ("sending",))]
    speech, idle = (after[("lipstream_frames_total", (kind,))] for kind in ("speech", "idle"))
    repeated = sum(after[("lipstream_frames_total", (kind,))] for kind in ("repeated", "underrun"))
    # A fragment may hold a single frame, where it must not wait for a second one.
    assert fragments <= speech + idle + repeated <= CALM.fragment_frames * fragments
    assert speech >= 25
    assert after[("lipstream_first_frame_latency_seconds_count", ())] == 1
    assert after[("process_resident_memory_bytes", ())] > 1e7


async def test_build_info_names_version_model_and_device() -> None:
    async with running() as address:
        (found,) = [labels for name, labels in await scrape(address) if name == "lipstream_build_info"]
    device, model, version = found
    assert re.fullmatch(r"\d+\.\d+.*", version)
    assert (model, device) == ("stub", "none")


async def test_metrics_count_refusals_by_reason() -> None:
    async with running(settings=ServerSettings(max_sessions=1)) as address:
        async with connected(address, SessionStart()), connected(address) as refused:
            await refused.send(SessionStart())
            assert (await refused.until(Error)).retry_after
            await refused.to_the_end()
        await until_ready(int(address.rpartition(":")[2]))  # when the first one's slot is free again
        async with connected(address) as stranger:
            await stranger.send(SessionStart(avatar="nobody"))
            await stranger.to_the_end()
        await get(address, CLIPS + "/clip_" + "0" * 24)
        await ask(address, "GET", "/readyz", origin="https://elsewhere.example")
        seen = await scrape(address)
    refusals = {
        labels: value
        for (name, labels), value in seen.items()
        if name == "lipstream_refusals_total" and value
    }
    assert refusals == {
        ("session", "full"): 1,
        ("session", "unknown_avatar"): 1,
        ("request", "unknown_clip"): 1,
        ("request", "origin_refused"): 1,
    }


async def test_metrics_count_repeated_frames_of_a_slow_model() -> None:
    engine = StubEngine(seconds_per_frame=0.12)
    settings = ServerSettings(max_sessions=1, windows=WindowSettings(lengths=(4,)))
    async with running(engine, settings) as address, connected(address, SessionStart()) as client:
        await client.send(tone(1.5))
        await client.send(UtteranceEnd())
        await client.until(UtteranceEnded)
        seen = await scrape(address)
    assert seen[("lipstream_frames_total", ("repeated",))] > 0
    windows = seen[("lipstream_real_time_factor_count", ("session",))]
    assert seen[("lipstream_real_time_factor_sum", ("session",))] / windows > 1


async def test_metrics_count_clips_by_state() -> None:
    async with running() as address:
        _, _, clip = await post(address, CLIPS, audio=wav(0.5), avatar="red")
        assert (await finished(address, clip["id"]))["state"] == "succeeded"
        seen = await scrape(address)
    states = {labels[0]: value for (name, labels), value in seen.items() if name == "lipstream_clips"}
    assert states == {"queued": 0, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 0}
    assert seen[("lipstream_windows_total", ("1", "clip", "realtime"))] >= 1
    assert seen[("lipstream_device_busy_seconds_total", ("clip",))] >= 0


def test_documentation_has_a_row_for_each_metric() -> None:
    rows = re.findall(r"^\| `((?:lipstream|process)_[a-z_]+)`.*\|.*\|$", GUIDE.read_text(), re.M)
    assert sorted(rows) == sorted(Metrics().names())
