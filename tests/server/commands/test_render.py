"""The main job: a portrait and a recording become a video that every player opens, as long as the recording."""

import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from lipstream_client.cli import run
from lipstream_models.bundled import (
    avatar_names,
    avatar_path,
    bundled_model_path,
    load_bundled,
    recording_path,
)
from lipstream_models.portrait import FaceLandmarker, prepare_portrait

AVATAR = "amara"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine tenths of a second of two-channel sound at 22.05 kHz: a length that is no multiple of a window."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    times = np.arange(int(0.9 * 22050)) / 22050
    both = np.stack([np.sin(700 * times), np.sin(1100 * times)], axis=1) * (times % 0.3 < 0.2)[:, None]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes((both * 12000).astype("<i2").tobytes())
    return path


def render(speech: Path, out: Path, *options: str) -> int:
    return run(["render", AVATAR, str(speech), "-o", str(out), "--steps", "1", *options])


def decoded(path: Path) -> tuple[np.ndarray, float, float]:
    """Frames, and the lengths of both tracks in seconds."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        return frames, len(frames) / 25, samples / container.streams.audio[0].rate


def test_rendered_video_is_as_long_as_the_recording_and_says_that_it_is_generated(
    speech: Path, tmp_path: Path
) -> None:
    out = tmp_path / "talk.mp4"
    assert render(speech, out) == 0
    frames, seconds, sound = decoded(out)
    assert frames.shape == (23, 256, 256, 3)
    assert seconds == pytest.approx(0.92)
    assert sound == pytest.approx(seconds, abs=0.03)
    with av.open(str(out)) as container:
        assert "AI" in container.metadata["comment"]
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"


def test_render_gives_the_same_frames_for_the_same_seed(speech: Path, tmp_path: Path) -> None:
    """Two steps: at the first one the bundled model does not look at the noise (`DenoiserLayers.set_input_gain`)."""
    files = [tmp_path / f"{name}.mp4" for name in "abc"]
    for file, seed in zip(files, ("3", "3", "4"), strict=True):
        assert render(speech, file, "--seed", seed, "--guidance", "1", "--steps", "2") == 0
    first, second, third = (decoded(file)[0] for file in files)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--preset", "warp"], "unknown preset 'warp'"),
        (["--guidance", "99"], "guidance must be between 0 and 30"),
        (["--model", "nowhere"], "nowhere cannot be used as a model directory"),
    ],
)
def test_render_with_bad_options_is_one_line_and_leaves_no_file(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    out = tmp_path / "talk.mp4"
    assert render(speech, out, *options) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_render_with_bad_input_keeps_an_earlier_video(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "talk.mp4"
    out.write_bytes(b"an earlier video")
    landscape = tmp_path / "face.txt"
    landscape.write_text("no picture")
    assert run(["render", str(landscape), str(speech), "-o", str(out)]) == 2
    assert run(["render", AVATAR, str(landscape), "-o", str(out)]) == 2
    assert out.read_bytes() == b"an earlier video"
    assert len(capsys.readouterr().err.strip().splitlines()) >= 2


def test_interrupted_render_leaves_a_playable_file(tmp_path: Path) -> None:
    out = tmp_path / "talk.mp4"
    program = (
        "import os, signal, sys\n"
        "from lipstream_models.pipeline import TalkingHeadPipeline\n"
        "from lipstream_client.cli import run\n"
        "plain, count = TalkingHeadPipeline.generate_windows, [0]\n"
        "def generate(self, requests):\n"
        "    count[0] += 1\n"
        "    if count[0] == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return plain(self, requests)\n"
        "TalkingHeadPipeline.generate_windows = generate\n"
        f"sys.exit(run(['render', {AVATAR!r}, {str(recording_path())!r}, '-o', {str(out)!r},"
        " '--steps', '1', '--guidance', '1']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 130, done.stderr
    frames, seconds, sound = decoded(out)
    assert len(frames) == 32
    assert sound == pytest.approx(seconds, abs=0.03)


def test_bundled_files_are_complete() -> None:
    assert bundled_model_path().stat().st_size <= 40e6
    assert len(avatar_names()) >= 6
    model, landmarker = load_bundled(), FaceLandmarker()
    for name in avatar_names():
        portrait = prepare_portrait(avatar_path(name), landmarker, model.portrait)
        assert portrait.notes == ()
        assert portrait.image.shape == (256, 256, 3)
