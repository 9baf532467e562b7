"""Audio through a real server into files, players and figures."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from decoded_video import decode
from live_server import CALM, running, tone

from lipstream_client import sinks
from lipstream_client.commands.bench_stream import quantile, summary
from lipstream_client.errors import RefusedError, StreamError
from lipstream_client.figures import Figures
from lipstream_client.sinks import (
    FileSink,
    PlayerSink,
    find_player,
    open_player,
)
from lipstream_client.streaming import (
    connection,
    paced,
    stream,
    stream_audio,
)
from lipstream_client.sync import BytesSink
from lipstream_server.config.live_settings import ConversationSettings
from lipstream_server.config.settings import ServerSettings


async def test_recording_streams_as_fast_as_a_microphone(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    sizes = []
    async with running() as address:
        figures = await stream_audio(
            f"ws://{address}",
            tone(1.2),
            [FileSink(out)],
            "blue",
            show=lambda figures: sizes.append(out.stat().st_size if out.exists() else 0),
        )
    assert figures.first_frame is not None
    # The whole utterance is one window in this server, so nothing shows before it has ended.
    assert figures.first_frame >= 1.1
    assert figures.sent == pytest.approx(1.2)
    assert figures.stats is not None
    assert figures.stats.state == "idle"
    frames, blocks = decode(out.read_bytes())
    assert figures.lengths.frames == len(frames) >= 60
    assert figures.lengths.video == pytest.approx(len(frames) / 25)
    decoded = sum(
        block.samples for block in blocks
    )  # the last packet is whole, its time stamp says how much of it counts
    assert 0 <= decoded - round(figures.lengths.audio * 48_000) < 1024
    assert abs(figures.lengths.skew) <= 0.04
    assert len({size for size in sizes if size}) > 10  # the file grew as media came
    assert all(word in figures.report() for word in ("first frame", "fps", "skew", "repeated"))


async def test_lead_of_a_stream_is_bounded_by_the_server_buffer() -> None:
    settings = ServerSettings(
        max_sessions=1, windows=CALM.windows, conversation=ConversationSettings(max_buffered_seconds=2.5)
    )
    sink = BytesSink()
    async with running(settings=settings) as address:
        figures = await stream_audio(f"ws://{address}", tone(3.2), [sink], pace=0.0)
    assert figures.problems == []
    assert figures.sent == pytest.approx(3.2)


async def test_stream_survives_pauses_of_its_source() -> None:
    """Longer than the server's patience: two utterances, and all of both is shown."""
    settings = ServerSettings(
        max_sessions=1, windows=CALM.windows, conversation=ConversationSettings(silence_timeout_seconds=0.2)
    )

    async def halting() -> AsyncGenerator[bytes]:
        yield tone(0.4)
        await asyncio.sleep(1.0)
        yield tone(0.4)

    figures, sink = Figures(), BytesSink()
    async with running(settings=settings) as address, connection(f"ws://{address}") as client:
        await stream(client, halting(), [sink], figures)
    assert figures.sent == pytest.approx(0.8)
    assert figures.stats is not None
    spoken = figures.stats.frames - figures.stats.idle_frames - figures.stats.underrun_frames
    assert spoken == 2 * (10 + CALM.windows.closing_frames)


async def test_stream_without_audio_ends_at_once() -> None:
    async with running() as address:
        figures = await stream_audio(f"ws://{address}", b"")
    assert figures.first_frame is None
    assert "nothing was shown" in figures.report()


async def test_refused_stream_keeps_an_earlier_file(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    out.write_bytes(b"an earlier video")
    async with running() as address:
        with pytest.raises(RefusedError, match="unknown_avatar"):
            await stream_audio(f"ws://{address}", tone(0.2), [FileSink(out)], "nobody")
    assert out.read_bytes() == b"an earlier video"


async def test_stream_leaves_a_playable_file_when_the_server_goes(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    async with running() as address:
        task = asyncio.create_task(stream_audio(f"ws://{address}", tone(30), [FileSink(out)]))
        async with asyncio.timeout(60):
            while not out.exists() or out.stat().st_size < 8000:
                await asyncio.sleep(0.02)
    with pytest.raises(StreamError):
        await task
    assert len(decode(out.read_bytes())[0]) > 2


def player(tmp_path: Path, code: str) -> list[str]:
    """A stand-in for a player: Python that reads stdin."""
    return [sys.executable, "-c", code, str(tmp_path / "played")]


async def test_player_gets_all_of_the_stream(tmp_path: Path) -> None:
    program = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    file = BytesSink()
    async with running() as address:
        shown = await open_player(player(tmp_path, program))
        await stream_audio(f"ws://{address}", tone(0.4), [file, shown])
    assert (tmp_path / "played").read_bytes() == bytes(file.data)


async def test_closed_player_ends_the_stream_unless_there_is_a_file(tmp_path: Path) -> None:
    program = "import sys; sys.stdin.buffer.read(100)"
    async with running() as address:
        figures = await stream_audio(
            f"ws://{address}", tone(60), [await open_player(player(tmp_path, program))]
        )
        assert figures.sent < 60
        file = BytesSink()
        closed = await open_player(player(tmp_path, program))
        figures = await stream_audio(f"ws://{address}", tone(1.0), [file, closed])
    assert figures.lengths.frames == len(decode(bytes(file.data))[0]) > 30


async def test_player_that_does_not_exit_is_terminated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "_CLOSE_SECONDS", 0.1)
    shown = await open_player(player(tmp_path, "import time; time.sleep(600)"))
    assert isinstance(shown, PlayerSink)
    await shown.close(cut=False)
    assert shown._process.returncode == -signal.SIGTERM


def test_player_is_found_or_named() -> None:
    assert find_player(lambda name: f"/bin/{name}" if name == "mpv" else None)[0] == "/bin/mpv"
    assert find_player(lambda name: f"/bin/{name}")[0] == "/bin/ffplay"
    with pytest.raises(StreamError, match="neither ffplay nor mpv is on PATH"):
        find_player(lambda name: None)


async def test_paced_pieces_are_forty_milliseconds_and_complete() -> None:
    audio = os.urandom(2 * 16_000 + 102)
    pieces = [piece async for piece in paced(audio, 0.0)]
    assert b"".join(pieces) == audio
    assert {len(piece) for piece in pieces[:-1]} == {1280}


def test_quantile_is_the_smallest_value_above_its_share() -> None:
    values = [float(number) for number in range(1, 101)]
    assert quantile(values, 0.5) == 50
    assert quantile(values, 0.95) == 95
    assert quantile([7.0], 0.95) == 7


def test_summary_without_a_served_stream_has_no_latency() -> None:
    told = summary([], [StreamError("busy")])
    assert (told["served"], told["refused"], told["refusal"]) == (0, 1, "busy")
    assert told["first_frame_p50_ms"] is None
