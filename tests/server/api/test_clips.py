"""Clips over HTTP: a recording is posted, its progress followed, its video fetched; accepted clips are not lost."""

import asyncio
import errno
import io
import json
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from gated_engines import Failing, Gated
from lipstream_server.media.containers.growing_file import playable
from live_server import (
    CALM,
    ask,
    running,
    tone,
    until,
)
from PIL import Image
from portraits import encoded
from rest_client import (
    CLIPS,
    ask_json,
    finished,
    post,
    wav,
)

from lipstream_client.streaming import stream_audio
from lipstream_client.sync import BytesSink
from lipstream_server.clips import worker as clip_worker
from lipstream_server.clips.service import ClipService
from lipstream_server.clips.state import Clip, Video
from lipstream_server.config.settings import ClipSettings, ServerSettings, UploadSettings, WindowSettings
from lipstream_server.engines.base import EngineError
from lipstream_server.engines.stub import StubEngine
from lipstream_server.media.file.formats import FileContainer

SHORT = CALM.replace(windows=WindowSettings(lengths=(8,)))


def same(headers: dict[str, str], *, but: tuple[str, ...] = ("date",)) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in but}


def decoded(video: bytes) -> tuple[list[np.ndarray], float]:
    """The frames, and the seconds of audio."""
    with av.open(io.BytesIO(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(io.BytesIO(video)) as container:
        track = container.streams.audio[0]
        return frames, sum(frame.samples for frame in container.decode(track)) / track.rate


async def test_clip_worker_sleeps_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    start_next = ClipService.start_next

    async def counted(clips: ClipService) -> Clip | None:
        asked.append(clips)
        return await start_next(clips)

    monkeypatch.setattr(ClipService, "start_next", counted)
    async with running(settings=SHORT) as address:
        await until(lambda: bool(asked))
        await asyncio.sleep(0.3)
        assert len(asked) <= 2
        _, _, clip = await post(address, CLIPS, avatar="green", audio=wav(0.3, 16_000))
        await finished(address, clip["id"])
        await asyncio.sleep(0.3)
    assert len(asked) <= 12


async def test_recording_becomes_a_video_of_its_duration() -> None:
    async with running(settings=SHORT) as address:
        status, headers, clip = await post(
            address, CLIPS, avatar="green", size="96", seed="7", audio=wav(1.5, 44_100)
        )
        assert (status, clip["frames_total"]) == (202, 38)
        assert headers["location"] == clip["url"] == f"{CLIPS}/{clip['id']}"
        done = await finished(address, clip["id"])
        assert (done["state"], done["frames_done"], done["error"]) == ("succeeded", 38, None)
        status, headers, video = await ask(address, "GET", clip["video"])
        assert (status, headers["content-type"], len(video)) == (200, "video/mp4", done["bytes"])
        frames, seconds = decoded(video)
        assert (len(frames), frames[0].shape) == (38, (96, 96, 3))
        assert seconds == pytest.approx(38 / 25, abs=0.03)
        assert frames[20][10, 10, 1] > 150  # green
        assert frames[20][90, 5].min() > 200  # the bar: the tone drives it
        part, ranged, middle = await ask(address, "GET", clip["video"], range="bytes=100-199")
        assert (part, middle) == (206, video[100:200])
        assert ranged["content-range"] == f"bytes 100-199/{len(video)}"
        assert (await ask(address, "GET", clip["video"], range="bytes=-5"))[2] == video[-5:]
        assert (await ask(address, "GET", clip["video"], if_none_match=headers["etag"]))[0] == 304
        beyond, refused, problem = await ask(address, "GET", clip["video"], range=f"bytes={len(video)}-")
        assert (beyond, json.loads(problem)["code"]) == (416, "range_not_satisfiable")
        assert refused["content-range"] == f"bytes */{len(video)}"
        for more in ({}, {"range": "bytes=100-199"}):  # ranges are GET's only
            status, head, nothing = await ask(address, "HEAD", clip["video"], **more)
            assert (status, same(head), nothing) == (200, same(headers), b"")
        assert (await ask(address, "HEAD", clip["video"], if_none_match=headers["etag"]))[0] == 304


async def test_clip_with_a_portrait_of_its_own() -> None:
    async with running(settings=SHORT) as address:
        face = encoded(Image.new("RGB", (8, 8), "orange"), "PNG")
        status, _, clip = await post(address, CLIPS, portrait=face, audio=wav(0.4))
        assert (status, len(clip["avatar"])) == (202, 16)
        assert (await finished(address, clip["id"]))["state"] == "succeeded"
        listed = (await ask_json(address, "GET", "/v1/avatars"))[1]["avatars"]
        assert clip["avatar"] not in [avatar["id"] for avatar in listed]  # nobody else's business


async def test_clip_as_webm() -> None:
    async with running(settings=SHORT) as address:
        _, _, clip = await post(
            address, CLIPS, avatar="green", size="96", container="webm", audio=wav(1.5, 44_100)
        )
        done = await finished(address, clip["id"])
        assert (done["state"], done["container"]) == ("succeeded", "webm")
        status, headers, video = await ask(address, "GET", clip["video"])
        assert (status, headers["content-type"], len(video)) == (200, "video/webm", done["bytes"])
        assert headers["content-disposition"].endswith('.webm"')
        frames, seconds = decoded(video)
        assert (len(frames), frames[0].shape, seconds) == (38, (96, 96, 3), 38 / 25)
        assert frames[20][10, 10, 1] > 150  # green
        assert (await ask(address, "GET", clip["video"], range="bytes=100-199"))[2] == video[100:200]
        with av.open(io.BytesIO(video)) as container:
            assert [stream.codec.canonical_name for stream in container.streams] == ["vp9", "opus"]
        status, _, refused = await post(address, CLIPS, container="avi", audio=wav(0.4))
        assert (status, refused["code"]) == (400, "bad_request")


@pytest.mark.parametrize("container", ["mp4", "webm"])
async def test_running_clip_plays_and_its_events_report_progress(
    container: FileContainer, tmp_path: Path
) -> None:
    engine = Gated()
    async with running(engine, SHORT, data=tmp_path) as address:
        engine.close_gate()
        clip = (await post(address, CLIPS, audio=wav(6), container=container))[2]
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(
            f"GET {clip['events']} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
        )
        early, _, refused = await ask(address, "GET", clip["video"])
        assert (early, json.loads(refused)["code"]) == (409, "clip_without_video")
        early, headers, nothing = await ask(address, "HEAD", clip["video"])
        assert (early, headers["content-type"], nothing) == (409, "application/problem+json", b"")
        engine.allowed.release(14)
        part = tmp_path / "clips" / clip["id"] / f"work.part.{container}"
        await until(lambda: part.exists() and playable(io.BytesIO(part.read_bytes()), container) > 0)
        status, headers, video = await ask(address, "GET", clip["video"])
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert headers["content-type"] == f"video/{container}"
        assert "etag" not in headers
        assert len(decoded(video)[0]) >= 25
        status, head, nothing = await ask(address, "HEAD", clip["video"])
        grows = ("date", "content-length")
        assert (status, same(head, but=grows), nothing) == (200, same(headers, but=grows), b"")
        later = len((await ask(address, "GET", clip["video"]))[2])
        assert len(video) <= int(head["content-length"]) <= later  # it may have grown in between
        running_now = (await ask_json(address, "GET", clip["url"]))[1]
        assert running_now["state"] == "running"
        assert running_now["seconds_left"] > 0
        engine.open_gate()
        events = (await asyncio.wait_for(reader.read(), 60)).decode()
        writer.close()
    reports = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    done = [each["frames_done"] for each in reports]
    assert done == sorted(done)
    assert (reports[-1]["state"], done[-1]) == ("succeeded", 150)


@pytest.mark.parametrize("container", ["mp4", "webm"])
async def test_complete_video_is_served_before_the_clip_has_succeeded(
    container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a finished file is signed and its digest taken, which takes a while for a long one."""
    whole, go_on = threading.Event(), threading.Event()
    describe = clip_worker._describe_video

    def delayed(path: Path) -> Video:
        whole.set()
        go_on.wait(60)
        return describe(path)

    monkeypatch.setattr(clip_worker, "_describe_video", delayed)
    async with running(settings=SHORT) as address:
        clip = (await post(address, CLIPS, audio=wav(0.4), container=container))[2]
        await until(whole.is_set)
        status, headers, video = await ask(address, "GET", clip["video"])
        go_on.set()
        assert (status, "etag" in headers) == (200, False)
        assert len(decoded(video)[0]) == 10
        assert (await finished(address, clip["id"]))["state"] == "succeeded"


async def test_clip_is_cancelled_and_removed_in_every_state(tmp_path: Path) -> None:
    engine = Gated()
    async with running(engine, SHORT, data=tmp_path) as address:
        engine.close_gate()
        first, second, third = [(await post(address, CLIPS, audio=wav(1)))[2] for _ in range(3)]
        _, page = await ask_json(address, "GET", f"{CLIPS}?state=queued&limit=1")
        assert [each["id"] for each in page["clips"]] == [third["id"]]
        rest = (await ask_json(address, "GET", f"{CLIPS}?state=queued&cursor={page['next']}"))[1]
        assert ([each["id"] for each in rest["clips"]], rest["next"]) == ([second["id"]], None)
        for _ in range(2):  # a retry says the same
            assert (await ask_json(address, "POST", f"{second['url']}/cancel"))[1]["state"] == "cancelled"
        removing = asyncio.create_task(ask(address, "DELETE", first["url"]))
        engine.open_gate()
        assert (await removing)[0] == 204
        assert (await ask_json(address, "GET", first["url"]))[1]["code"] == "unknown_clip"
        assert (await finished(address, third["id"]))["state"] == "succeeded"
        assert (await ask_json(address, "POST", f"{third['url']}/cancel"))[1]["code"] == "clip_finished"
        assert (await ask(address, "DELETE", third["url"]))[0] == 204
        assert [each["id"] for each in (await ask_json(address, "GET", CLIPS))[1]["clips"]] == [second["id"]]
        left = {path.name: [file.name for file in path.iterdir()] for path in (tmp_path / "clips").iterdir()}
        assert left == {second["id"]: []}


async def test_idempotency_key_makes_one_clip(tmp_path: Path) -> None:
    async with running(settings=SHORT, data=tmp_path) as address:
        key = {"idempotency_key": "order-17"}
        first = await post(address, CLIPS, key, audio=wav(0.4))
        again = await post(address, CLIPS, key, audio=wav(0.4))
        assert (first[0], again[0], again[1]["idempotency-replayed"]) == (202, 202, "true")
        assert first[2]["id"] == again[2]["id"]
        other = await post(address, CLIPS, key, audio=wav(0.5))
        assert (other[0], other[2]["code"]) == (422, "idempotency_key_reused")
        await finished(address, first[2]["id"])
    async with running(settings=SHORT, data=tmp_path) as address:
        later = await post(address, CLIPS, key, audio=wav(0.4))
        assert (later[2]["id"], later[2]["state"]) == (first[2]["id"], "succeeded")
        await ask(address, "DELETE", later[2]["url"])
        gone = await post(address, CLIPS, key, audio=wav(0.4))
        assert (gone[0], gone[2]["code"]) == (410, "clip_removed")


@pytest.mark.parametrize("container", ["mp4", "webm"])
async def test_stopped_server_renders_its_clips_after_a_restart(container: str, tmp_path: Path) -> None:
    engine = Gated()
    async with running(engine, SHORT, data=tmp_path) as address:
        engine.close_gate()
        clips = [(await post(address, CLIPS, audio=wav(1), container=container))[2]["id"] for _ in range(2)]
        engine.allowed.release(1)
        await asyncio.sleep(0.2)
        engine.open_gate()
        engine.seconds_per_window = 0.05
    async with running(settings=SHORT, data=tmp_path) as address:
        for clip in clips:
            done = await finished(address, clip)
            assert (done["state"], done["container"]) == ("succeeded", container)
            assert len(decoded((await ask(address, "GET", done["video"]))[2])[0]) == 25


async def test_old_clips_are_removed_for_room(tmp_path: Path) -> None:
    async with running(settings=SHORT, data=tmp_path) as address:
        clips = [(await post(address, CLIPS, audio=wav(0.4)))[2]["id"] for _ in range(3)]
        sizes = [(await finished(address, clip))["bytes"] for clip in clips]
    few = SHORT.replace(clips=ClipSettings(max_total_bytes=sum(sizes[1:])))
    async with running(settings=few, data=tmp_path) as address:
        async with asyncio.timeout(30):
            while len(listed := (await ask_json(address, "GET", CLIPS))[1]["clips"]) > 2:
                await asyncio.sleep(0.02)
        assert [clip["id"] for clip in listed] == clips[:0:-1]
    none = SHORT.replace(clips=ClipSettings(retention_seconds=0))
    async with running(settings=none, data=tmp_path) as address, asyncio.timeout(30):
        while (await ask_json(address, "GET", CLIPS))[1]["clips"]:
            await asyncio.sleep(0.02)
    assert list((tmp_path / "clips").iterdir()) == []


async def test_full_disk_refuses_new_clips_and_keeps_old_ones(tmp_path: Path) -> None:
    async with running(settings=SHORT, data=tmp_path) as address:
        kept = (await post(address, CLIPS, audio=wav(0.4)))[2]
        await finished(address, kept["id"])
    full = SHORT.replace(uploads=UploadSettings(min_free_bytes=1 << 60))
    async with running(settings=full, data=tmp_path) as address:
        status, _, answer = await post(address, CLIPS, audio=wav(0.4))
        assert (status, answer["code"]) == (507, "storage_full")
        assert (await ask(address, "GET", kept["video"]))[0] == 200
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_clip_waits_while_the_disk_is_full() -> None:
    engine = Failing(OSError(errno.ENOSPC, "full"), OSError(errno.ENOSPC, "full"))
    soon = SHORT.replace(clips=ClipSettings(disk_full_retry_seconds=0.05))
    async with running(engine, soon) as address:
        clip = (await post(address, CLIPS, audio=wav(0.4), seed="1"))[2]
        assert (await finished(address, clip["id"]))["state"] == "succeeded"
    assert engine.errors == []


async def test_failed_clip_reports_its_error_and_the_next_one_is_rendered(tmp_path: Path) -> None:
    engine = Failing(EngineError("expected another face"), RuntimeError("a fault"))
    async with running(engine, SHORT, data=tmp_path) as address:
        clips = [(await post(address, CLIPS, audio=wav(0.4), seed="1"))[2]["id"] for _ in range(3)]
        done = [await finished(address, clip) for clip in clips]
    assert [clip["state"] for clip in done] == ["failed", "failed", "succeeded"]
    assert done[0]["error"] == {"code": "avatar_unusable", "detail": "expected another face"}
    assert done[1]["error"]["code"] == "internal"
    assert [len(list((tmp_path / "clips" / clip).iterdir())) for clip in clips] == [0, 0, 1]


async def test_live_session_goes_on_while_a_clip_is_rendered() -> None:
    """Windows of 16 frames take a fifth of real time, and the clip would take all of it."""
    costly = StubEngine(seconds_per_frame=0.008)
    async with running(costly, ServerSettings(max_sessions=2)) as address:
        clip = (await post(address, CLIPS, audio=wav(60)))[2]
        sink = BytesSink()
        figures = await stream_audio(f"ws://{address}", tone(3), [sink], None, 1.0)
        state = (await ask_json(address, "GET", clip["url"]))[1]
        print(f"beside a clip with {state['frames_done']} frames: {figures.report()}")
        assert state["state"] == "running"
        assert state["frames_done"] > 0
    assert figures.frames_per_second > 20
