"""VideoWriter keeps frames and audio in sync, labels the file and loses nothing."""

import contextlib
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipstream_server.media.file.formats import VideoError
from lipstream_server.media.file.video_writer import VideoWriter
from lipstream_server.media.provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI, XMP_UUID

SIZE = 64
SUFFIXES = (".mp4", ".webm")
Frames = NDArray[np.uint8]
Audio = NDArray[np.float32]

# A child process that writes ten frames at a time for ever, and reports when the first thirty seconds are written.
ENDLESS = """
import sys, time
import numpy as np
from lipstream_server.media.file.video_writer import VideoWriter

noise = np.random.default_rng(0)
with VideoWriter(sys.argv[1], 64, 64, 16000) as writer:
    while True:
        writer.write(noise.integers(0, 255, (10, 64, 64, 3), np.uint8), np.zeros(6400, np.float32))
        if writer.frames == 750:
            print("ready", flush=True)
        if writer.frames >= 750:
            time.sleep(0.01)
"""


def flash_and_click(seconds: int, rate: int, channels: int, fps: int = 25) -> tuple[Frames, Audio]:
    """Return black frames and silence, with one white frame and one click in the middle of every second."""
    frames = np.zeros((seconds * fps, SIZE, SIZE, 3), np.uint8)
    audio = np.zeros((seconds * rate, channels), np.float32)
    for second in range(seconds):
        frame = second * fps + fps // 2
        frames[frame] = 255
        start = frame * rate // fps
        audio[start : start + rate // 500] = 0.9
    return frames, audio


def write(path: Path, frames: Frames, audio: Audio, rate: int, pieces: int = 5, fps: int = 25) -> Path:
    with VideoWriter(path, SIZE, SIZE, rate, audio.shape[1], fps) as writer:
        pairs = zip(np.array_split(frames, pieces), np.array_split(audio, pieces), strict=True)
        for some_frames, some_audio in pairs:
            writer.write(some_frames, some_audio)
    assert writer.saved == path
    return path


def decode_video(path: Path) -> Iterator[tuple[float, Frames]]:
    """Yield every frame with its time, up to where the file is cut off."""
    with av.open(str(path)) as file, contextlib.suppress(av.InvalidDataError):
        for frame in file.decode(video=0):
            assert frame.time is not None
            yield frame.time, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def decode_audio(path: Path) -> tuple[float, Audio]:
    """Return the time of the first sample and the samples (n, channels)."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    assert frames[0].time is not None
    return frames[0].time, np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T


def durations(path: Path, fps: int = 25) -> tuple[float, float]:
    """Return the seconds of video and audio: as an MP4 declares them, and counted in a WebM, which does not."""
    if path.suffix == ".webm":
        start, samples = decode_audio(path)
        return sum(1 for _ in decode_video(path)) / fps, start + len(samples) / 48_000
    with av.open(str(path)) as file:
        lengths = [float(s.duration * s.time_base) for s in file.streams if s.duration and s.time_base]
    return lengths[0], lengths[1]


def boxes(path: Path) -> list[tuple[str, bytes]]:
    """Return the top-level boxes of an ISO base media file."""
    data, top_level = path.read_bytes(), []
    while data:
        length, kind = struct.unpack(">I4s", data[:8])
        top_level.append((kind.decode(), data[8:length]))
        data = data[length:]
    return top_level


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("rate", "channels", "fps"),
    [(16000, 1, 25), (44100, 2, 25), (48000, 1, 25), (8000, 1, 25), (37800, 2, 25), (44100, 1, 24)],
)
def test_flash_and_click_stay_in_sync(
    tmp_path: Path, rate: int, channels: int, fps: int, suffix: str
) -> None:
    frames, audio = flash_and_click(4, rate, channels, fps)
    path = write(tmp_path / f"flash{suffix}", frames, audio, rate, fps=fps)

    shown = list(decode_video(path))
    flashes = [time for time, pixels in shown if pixels.mean() > 128]
    start, samples = decode_audio(path)
    kept = 48000 if rate == 37800 or suffix == ".webm" else rate
    loud = np.flatnonzero(np.abs(samples[:, 0]) > 0.3) / kept + start
    clicks = [loud[loud > flash - 0.2].min() for flash in flashes]

    assert len(shown) == 4 * fps
    np.testing.assert_allclose(flashes, [(s * fps + fps // 2) / fps for s in range(4)], atol=1e-3)
    np.testing.assert_allclose(clicks, flashes, atol=0.002)
    assert durations(path, fps) == pytest.approx((4.0, 4.0), abs=1e-3)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(frames=st.integers(1, 60), samples=st.integers(0, 40_000), pieces=st.integers(1, 7))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_audio_is_as_long_as_the_video_whatever_was_written(
    suffix: str, tmp_path: Path, frames: int, samples: int, pieces: int
) -> None:
    black = np.zeros((frames, SIZE, SIZE, 3), np.uint8)
    path = write(tmp_path / f"any{suffix}", black, np.zeros((samples, 1), np.float32), 16000, pieces)
    assert durations(path) == pytest.approx((frames / 25, frames / 25), abs=1e-3)
    assert sum(1 for _ in decode_video(path)) == frames


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colours_survive_a_round_trip(tmp_path: Path, suffix: str) -> None:
    patches = np.array([[[200, 120, 90], [30, 160, 60]], [[60, 60, 200], [230, 230, 230]]], np.uint8)
    frame = patches.repeat(SIZE // 2, axis=0).repeat(SIZE // 2, axis=1)
    audio = np.zeros((3200, 1), np.float32)
    path = write(tmp_path / f"colour{suffix}", frame[None].repeat(5, 0), audio, 16000)
    for _, pixels in decode_video(path):
        assert np.abs(pixels[8::32, 8::32].astype(int) - frame[8::32, 8::32]).max() <= 4


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_input_makes_equal_files(tmp_path: Path, suffix: str) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (30, SIZE, SIZE, 3), np.uint8)
    audio = np.sin(np.arange(19200, dtype=np.float32) / 20)[:, None]
    one = write(tmp_path / f"one{suffix}", frames, audio, 16000)
    other = write(tmp_path / f"other{suffix}", frames, audio, 16000, pieces=3)
    assert one.read_bytes() == other.read_bytes()


def test_mp4_is_labelled_and_has_its_index_in_front(tmp_path: Path) -> None:
    path = write(tmp_path / "label.mp4", *flash_and_click(1, 16000, 1), 16000)
    with av.open(str(path)) as file:
        assert MADE_BY_AI.items() <= file.metadata.items()
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"
    top_level = boxes(path)
    kinds = [kind for kind, _ in top_level]
    assert kinds.index("moov") < kinds.index("mdat")
    assert "moof" not in kinds
    assert top_level[-1][0] == "uuid"
    assert top_level[-1][1].startswith(XMP_UUID.bytes)
    assert DIGITAL_SOURCE_TYPE.encode() in top_level[-1][1]


def test_webm_has_label_and_index_in_front(tmp_path: Path) -> None:
    path = write(tmp_path / "label.webm", *flash_and_click(6, 16000, 1), 16000)
    with av.open(str(path)) as file:
        tags = {name.lower(): text for name, text in file.metadata.items()}
        assert file.duration == pytest.approx(6e6, abs=30_000)
        assert [stream.codec.canonical_name for stream in file.streams] == ["vp9", "opus"]
    assert MADE_BY_AI.items() <= tags.items()
    assert tags["digital_source_type"] == DIGITAL_SOURCE_TYPE
    data = path.read_bytes()
    cues, tags, cluster = (data.index(bytes.fromhex(kind)) for kind in ("1C53BB6B", "1254C367", "1F43B675"))
    assert cues < cluster
    assert tags < cluster


def test_frames_before_an_error_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept.mp4"
    frames, audio = flash_and_click(2, 16000, 1)
    with (
        pytest.raises(VideoError, match="expected uint8 frames"),
        VideoWriter(path, SIZE, SIZE, 16000) as writer,
    ):
        writer.write(frames, audio)
        writer.write(frames.astype(np.float32), audio)
    assert writer.saved == path
    assert sum(1 for _ in decode_video(path)) == 50
    assert os.listdir(tmp_path) == ["kept.mp4"]


def test_error_does_not_replace_an_existing_file(tmp_path: Path) -> None:
    path = write(tmp_path / "good.mp4", *flash_and_click(1, 16000, 1), 16000)
    good = path.read_bytes()

    with pytest.raises(RuntimeError), VideoWriter(path, SIZE, SIZE, 16000):
        raise RuntimeError("before the first frame")
    assert os.listdir(tmp_path) == ["good.mp4"]

    with pytest.raises(RuntimeError), VideoWriter(path, SIZE, SIZE, 16000) as writer:
        writer.write(*flash_and_click(2, 16000, 1))
        raise RuntimeError("after some")
    assert path.read_bytes() == good
    assert writer.saved == tmp_path / "good.part.mp4"
    assert sum(1 for _ in decode_video(writer.saved)) == 50


def test_video_without_frames_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(VideoError, match="not one frame"),
        VideoWriter(tmp_path / "none.mp4", SIZE, SIZE, 16000),
    ):
        pass
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("width", "height", "rate", "channels", "name", "message"),
    [
        (65, 64, 16000, 1, "a.mp4", "even width and height, got 65 x 64"),
        (64, 0, 16000, 1, "a.mp4", "even width and height, got 64 x 0"),
        (64, 64, 0, 1, "a.mp4", "sample rate above 0"),
        (64, 64, 16000, 6, "a.mp4", "1 or 2 channels, got 6"),
        (64, 64, 16000, 1, "a.avi", "ends in .mp4 or .webm"),
        (64, 64, 16000, 1, "missing/a.mp4", "does not exist"),
        (64, 64, 16000, 1, "folder.mp4", "is a folder"),
    ],
)
def test_unusable_video_properties_are_refused_at_once(
    tmp_path: Path, width: int, height: int, rate: int, channels: int, name: str, message: str
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(VideoError, match=message):
        VideoWriter(tmp_path / name, width, height, rate, channels)
    assert os.listdir(tmp_path) == ["folder.mp4"]


@pytest.mark.parametrize(
    ("frames", "samples", "message"),
    [
        (np.zeros((2, 64, 64, 4), np.uint8), np.zeros(1280, np.float32), r"\(2, 64, 64, 4\)"),
        (np.zeros((64, 64, 3), np.uint8), np.zeros(1280, np.float32), r"got uint8 \(64, 64, 3\)"),
        (np.zeros((2, 32, 64, 3), np.uint8), np.zeros(1280, np.float32), r"\(F, 64, 64, 3\)"),
        (np.zeros((2, 64, 64, 3), np.uint8), np.zeros(1280), "got float64"),
        (np.zeros((2, 64, 64, 3), np.uint8), np.zeros((1280, 2), np.float32), r"\(1280, 2\)"),
        (np.zeros((2, 64, 64, 3), np.uint8), np.full(1280, np.nan, np.float32), "NaN"),
    ],
)
def test_wrong_frames_are_refused_and_the_next_ones_accepted(
    tmp_path: Path, frames: Frames, samples: Audio, message: str
) -> None:
    with VideoWriter(tmp_path / "a.mp4", SIZE, SIZE, 16000) as writer:
        with pytest.raises(VideoError, match=message):
            writer.write(frames, samples)
        writer.write(np.zeros((2, 64, 64, 3), np.uint8), np.zeros(1280, np.int16))
    assert sum(1 for _ in decode_video(tmp_path / "a.mp4")) == 2


@pytest.mark.parametrize(
    ("kill", "left"),
    [(signal.SIGINT, "talk"), (signal.SIGKILL, "talk.part")],
    ids=["ctrl-c", "kill -9"],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_interrupted_writer_leaves_a_playable_file(
    tmp_path: Path, kill: signal.Signals, left: str, suffix: str
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path / f"talk{suffix}")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(kill)
    assert os.listdir(tmp_path) == [left + suffix]
    times = [time for time, _ in decode_video(tmp_path / (left + suffix))]
    lost_seconds = 3 if kill == signal.SIGKILL else 0
    assert len(times) >= 750 - 25 * lost_seconds
    np.testing.assert_allclose(times, np.arange(len(times)) / 25, atol=1e-3)


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    frames = np.random.default_rng(2).integers(0, 255, (10, SIZE, SIZE, 3), np.uint8)
    audio = np.zeros(10 * 1764, np.float32)
    with VideoWriter(tmp_path / "long.mp4", SIZE, SIZE, 44100) as writer:
        resident = []
        for _ in range(6):
            for _ in range(25):
                writer.write(frames, audio)
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    assert writer.seconds == 60
    assert max(resident[2:]) - resident[1] < 4 * 2**20
