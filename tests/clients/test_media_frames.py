"""Media of a session as arrays with time stamps, and the synchronous client."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from decoded_video import decode
from live_server import running, tone

from lipstream_client.backoff import Backoff
from lipstream_client.errors import StreamError
from lipstream_client.media_frames import (
    AudioChunk,
    VideoFrame,
    decode_media,
    media_frames,
)
from lipstream_client.stream_client import StreamClient
from lipstream_client.sync import SyncStreamClient, stream_to_file, talk
from lipstream_server.engines.stub import COLOURS
from lipstream_server.protocol import (
    Container,
    MediaTag,
    Pong,
    SessionClosing,
    SessionStart,
    Stats,
    TaggedMedia,
    UtteranceEnded,
    UtteranceStarted,
)


@pytest.mark.parametrize("container", ["rgb", "jpeg"])
async def test_frames_and_audio_share_a_clock(container: Container) -> None:
    frames, chunks, events = [], [], []
    start = SessionStart(avatar="blue", container=container)
    async with running() as address, StreamClient(f"ws://{address}", start) as client:
        await client.say(tone(0.4))
        async for message in media_frames(client):
            if isinstance(message, VideoFrame):
                frames.append(message)
            elif isinstance(message, AudioChunk):
                chunks.append(message)
            else:
                events.append(message)
                if isinstance(message, UtteranceEnded):
                    await client.end()
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(len(frames))])
    assert {frame.pixels.shape for frame in frames} == {(64, 64, 3)}
    assert np.abs(frames[0].pixels[0, 0].astype(int) - COLOURS["blue"]).max() < 12
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert samples.dtype == np.int16
    assert len(samples) == len(frames) * 48_000 // 25
    loud = np.flatnonzero(np.abs(samples) > 3000)
    speaks = [frame.time for frame in frames if frame.utterance == 1]
    assert speaks[0] - 0.04 <= loud[0] / 48_000 <= speaks[0] + 0.08
    assert isinstance(events[-1], SessionClosing)


async def test_media_that_does_not_fit_its_session_is_an_error() -> None:
    async with running() as address:
        async with StreamClient(f"ws://{address}") as client:
            assert client.ready is not None
            with pytest.raises(StreamError, match="ask for one"):
                decode_media(bytes(100), client.ready)
        async with StreamClient(f"ws://{address}", SessionStart(container="rgb")) as client:
            assert client.ready is not None
            for tag in (MediaTag.RGB, MediaTag.JPEG):
                message = TaggedMedia(tag=tag, utterance=0, position=0, payload=bytes(10)).pack()
                with pytest.raises(StreamError, match="does not fit its session"):
                    decode_media(message, client.ready)
            with pytest.raises(StreamError, match="at least 16 bytes"):
                decode_media(b"short", client.ready)


async def test_sync_client_streams_like_the_async_one() -> None:
    def converse(url: str) -> list[object]:
        seen: list[object] = []
        with SyncStreamClient(url, SessionStart(avatar="green")) as client:
            assert client.ready is not None
            assert client.ready.avatar == "green"
            client.ping("7")
            client.ask_stats()
            client.send_audio(tone(0.2))
            client.end_utterance()
            for message in client:
                seen.append(message)
                if isinstance(message, UtteranceEnded) and not message.interrupted:
                    client.interrupt()
                elif isinstance(message, UtteranceEnded):
                    client.end()
        return seen

    async with running() as address:
        seen = await asyncio.to_thread(converse, f"ws://{address}")
    kinds = {type(message) for message in seen}
    assert {bytes, Pong, Stats, UtteranceStarted, UtteranceEnded, SessionClosing} <= kinds


async def test_sync_client_may_leave_early_or_fail_to_connect() -> None:
    def leave(url: str) -> None:
        with pytest.raises(KeyError), SyncStreamClient(url) as client:
            for _ in client:
                raise KeyError
        with pytest.raises(StreamError), SyncStreamClient(url + "/nowhere", backoff=Backoff(attempts=1)):
            pass

    async with running() as address:
        await asyncio.to_thread(leave, f"ws://{address}")


async def test_one_call_returns_a_video(tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_text("no chunk")
    async with running() as address:
        video = await asyncio.to_thread(talk, f"ws://{address}", tone(0.4), "red")
        with pytest.raises(StreamError, match=r"no\.wav: expected a recording"):
            await asyncio.to_thread(
                stream_to_file, f"ws://{address}", tmp_path / "no.wav", tmp_path / "out.mp4"
            )
    assert len(decode(video)[0]) > 10
    assert not (tmp_path / "out.mp4").exists()
