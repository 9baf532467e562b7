"""A recording's own sound reaches the video unchanged."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipstream_server.media.file.audio_track import AudioTrackError, AudioTrackReader


def record(path: Path, samples: NDArray[np.int16], rate: int, layout: str) -> Path:
    """Save samples (n, channels) as 16-bit PCM."""
    with av.open(str(path), "w") as file:
        track = file.add_stream("pcm_s16le", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        file.mux(track.encode(frame))
        file.mux(track.encode(None))
    return path


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.int16]]:
    samples = np.random.default_rng(0).integers(-30000, 30000, (30_000, 2), np.int16)
    return record(tmp_path_factory.mktemp("sound") / "stereo.wav", samples, 44100, "stereo"), samples


@given(counts=st.lists(st.integers(0, 20_000), max_size=6))
def test_pieces_of_any_size_are_the_file(stereo: tuple[Path, NDArray[np.int16]], counts: list[int]) -> None:
    path, samples = stereo
    with AudioTrackReader(path) as track:
        pieces = [track.read(count) for count in [*counts, 100_000]]
        assert len(track.read(1)) == 0
    assert (track.sample_rate, track.channels) == (44100, 2)
    assert [len(piece) for piece in pieces[:-1]] == list(np.minimum(counts, _room(counts, len(samples))))
    np.testing.assert_allclose(np.concatenate(pieces), samples / 32768, atol=1e-6)


def _room(counts: list[int], total: int) -> list[int]:
    """How many samples are left before each read."""
    before = np.concatenate([[0], np.cumsum(counts)])[: len(counts)]
    return [max(0, total - int(done)) for done in before]


def test_more_than_two_channels_are_mixed_down(tmp_path: Path) -> None:
    loud = np.full((4000, 6), 8000, np.int16)
    with AudioTrackReader(record(tmp_path / "surround.wav", loud, 48000, "5.1")) as track:
        assert track.channels == 2
        heard = track.read(4000)
    assert heard.shape == (4000, 2)
    assert 0.1 < heard[2000:].mean() <= 1


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not a recording")
    with pytest.raises(AudioTrackError, match=r"text\.wav: expected a recording"):
        AudioTrackReader(tmp_path / "text.wav")
    with pytest.raises(AudioTrackError, match="no such file"):
        AudioTrackReader(tmp_path / "none.wav")
    with av.open(str(tmp_path / "silent.mp4"), "w") as file:
        track = file.add_stream("libx264", rate=25)
        track.width = track.height = 16
        file.mux(track.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(track.encode(None))
    with pytest.raises(AudioTrackError, match="no sound in this file"):
        AudioTrackReader(tmp_path / "silent.mp4")
