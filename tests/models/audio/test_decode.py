"""Tests of audio decoding: time, pitch and level of recordings, and refusals of unusable ones."""

import io
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipstream_models.audio.decode import (
    AudioError,
    AudioFile,
    AudioLimits,
    iter_audio,
    read_audio,
)

SECONDS = 1.5


def tone(rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(rate * SECONDS)) / rate)).astype(np.float32)


def encode(path: Path, samples: np.ndarray, rate: int, codec: str, layout: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=1024)
        channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
        frame = av.AudioFrame.from_ndarray(np.repeat(samples[None], channels, 0), "fltp", layout)
        frame.sample_rate = rate
        frame.pts, frame.time_base = 0, Fraction(1, rate)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.wav", "pcm_s16le", 8000, "mono"),
        ("a.wav", "pcm_f32le", 96000, "stereo"),
        ("a.wav", "pcm_u8", 22050, "mono"),
        ("a.flac", "flac", 44100, "stereo"),
        ("a.mp3", "libmp3lame", 44100, "mono"),
        ("a.m4a", "aac", 48000, "5.1"),
        ("a.ogg", "libopus", 48000, "stereo"),
        ("a.webm", "libopus", 48000, "mono"),
        ("a.mp4", "aac", 44100, "stereo"),
    ],
)
def test_length_pitch_and_level_are_preserved(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str
) -> None:
    decoded = read_audio(encode(tmp_path / name, tone(rate), rate, codec, layout))
    assert decoded.dtype == np.float32
    assert len(decoded) / 16000 == pytest.approx(SECONDS, abs=0.06)  # lossy codecs pad to whole frames
    middle = decoded[4000:20000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 16000 / len(middle) == pytest.approx(440, abs=2)
    assert np.abs(middle).max() == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_click_stays_at_its_time(tmp_path: Path, rate: int) -> None:
    samples = np.zeros(rate, np.float32)
    samples[rate // 2] = 0.9
    decoded = read_audio(encode(tmp_path / "click.wav", samples, rate, "pcm_s16le", "mono"))
    assert len(decoded) == pytest.approx(16000, abs=2)
    assert np.abs(decoded).argmax() == pytest.approx(8000, abs=16)


def test_blocks_add_up_to_the_recording(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.flac", tone(44100), 44100, "flac", "mono")
    pieces = list(iter_audio(path, AudioLimits(block_samples=3000)))
    assert len(pieces) > 3
    assert np.array_equal(np.concatenate(pieces), read_audio(path))
    assert np.array_equal(read_audio(path.read_bytes()), read_audio(path))
    with path.open("rb") as file:
        assert np.array_equal(read_audio(file), read_audio(path))


def test_channels_of_a_stereo_recording_are_averaged(tmp_path: Path) -> None:
    left = np.stack([tone(16000), np.zeros(24000, np.float32)])
    path = tmp_path / "left.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((left.T * 32767).astype("<i2").tobytes())
    assert np.abs(read_audio(path)[2000:-2000]).max() == pytest.approx(0.2, abs=0.01)


def test_truncated_recording_gives_the_samples_it_has(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(16000), 16000, "pcm_s16le", "mono")
    path.write_bytes(path.read_bytes()[:20000])
    assert 8000 < len(read_audio(path)) < 11000


def test_declared_length_is_not_believed(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(16000), 16000, "pcm_s16le", "mono")
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(data)
    assert len(read_audio(path)) == pytest.approx(24000, abs=200)


def test_files_without_audio_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello, this is not audio at all\n" * 50)
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    silent_video = tmp_path / "video.mp4"
    with av.open(str(silent_video), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=32, height=32, pix_fmt="yuv420p")
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    for path, message in (
        (tmp_path / "gone.wav", "no such file"),
        (text, "expected a recording"),
        (empty, "expected a recording"),
        (silent_video, "no audio in this file"),
    ):
        with pytest.raises(AudioError, match=message):
            read_audio(path)


def test_values_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    samples = tone(16000)
    samples[5000] = np.nan
    path = encode(tmp_path / "nan.wav", samples, 16000, "pcm_f32le", "mono")
    with pytest.raises(AudioError, match="not numbers"):
        read_audio(path)


def test_recording_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(16000), 16000, "pcm_s16le", "mono")
    with pytest.raises(AudioError, match="longer than"):
        read_audio(io.BytesIO(path.read_bytes()), AudioLimits(max_seconds=1.0))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.wav", "pcm_s24le", 11025, "mono"),
        ("a.mp3", "libmp3lame", 22050, "stereo"),
        ("a.m4a", "aac", 48000, "mono"),
        ("a.mp4", "aac", 22050, "stereo"),
        ("a.ogg", "libopus", 48000, "mono"),
        ("a.webm", "libopus", 48000, "stereo"),
    ],
)
def test_codec_padding_is_removed_at_both_ends(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str
) -> None:
    """A burst stays at its time, and the length is right."""
    samples = 0.001 * np.random.default_rng(0).normal(size=round(rate * SECONDS)).astype(np.float32)
    burst = np.hanning(rate // 250).astype(np.float32)
    at = round(0.7 * rate) - len(burst) // 2
    samples[at : at + len(burst)] = 0.9 * burst
    decoded = read_audio(encode(tmp_path / name, samples, rate, codec, layout))
    assert np.abs(decoded).argmax() / 16000 == pytest.approx(0.7, abs=0.001)
    assert len(decoded) == pytest.approx(SECONDS * 16000, abs=16)


def test_damaged_packets_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = encode(tmp_path / "a.m4a", tone(48000), 48000, "aac", "mono")
    data = bytearray(path.read_bytes())
    data[6000:7000] = bytes(255 - value for value in data[6000:7000])
    assert 16000 < len(read_audio(bytes(data))) <= 24000
    assert "damaged" in caplog.text


def test_playlist_cannot_open_other_files(tmp_path: Path) -> None:
    encode(tmp_path / "secret.mp3", tone(44100), 44100, "libmp3lame", "mono")
    lists = {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp3\n#EXT-X-ENDLIST\n",
        "a.wav": "ffconcat version 1.0\nfile 'secret.mp3'\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        for source in (tmp_path / name, text.encode()):
            with pytest.raises(AudioError):
                read_audio(source)


def test_sample_rate_below_the_minimum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slow.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(1)
        file.writeframes(b"ab" * 5000)
    with pytest.raises(AudioError, match="rate of at least"):
        read_audio(path)


@pytest.mark.parametrize(("name", "layout"), [("a.m4a", "5.1"), ("a.m4a", "stereo"), ("a.wav", "mono")])
def test_frames_at_the_files_own_rate_have_the_recordings_length(
    tmp_path: Path, name: str, layout: str
) -> None:
    codec = "aac" if name == "a.m4a" else "pcm_s16le"
    with AudioFile(encode(tmp_path / name, tone(44100), 44100, codec, layout)) as file:
        frames = list(file.frames())
    assert (file.sample_rate, file.channels) == (44100, {"mono": 1, "stereo": 2, "5.1": 6}[layout])
    assert {frame.layout.nb_channels for frame in frames} == {file.channels}
    assert sum(frame.samples for frame in frames) == pytest.approx(44100 * SECONDS, abs=44)
    assert not file.truncated
