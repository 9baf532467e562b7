"""Tests that streamed Whisper features equal those of the whole recording."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipstream_models.audio.decode import read_audio
from lipstream_models.audio.features import FeatureConfig, WhisperFeatures
from lipstream_models.audio.sliding import WindowGrid
from lipstream_models.audio.windows import context_windows
from lipstream_models.errors import LipstreamError

Samples = NDArray[np.float32]
TOLERANCE = 2e-4
"""Rounding of features of about 1 in batches of other sizes."""


@pytest.fixture(scope="module")
def features() -> WhisperFeatures:
    return WhisperFeatures.bundled()


@pytest.fixture(scope="module")
def reading() -> Samples:
    """A human reader, a little over three seconds."""
    return read_audio(str(files("lipstream_models.bundled") / "audio/reading.flac"))[: 16000 * 3 + 123]


def streamed(features: WhisperFeatures, audio: Samples, cuts: list[int]) -> Samples:
    stream = features.stream()
    rows = [stream.push(piece) for piece in np.split(audio, np.cumsum(cuts))]
    return np.concatenate([*rows, stream.flush()])


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 12000), max_size=12), st.integers(0, 48123))
def test_streamed_features_equal_offline_features(
    features: WhisperFeatures, reading: Samples, cuts: list[int], samples: int
) -> None:
    audio = reading[:samples]
    whole = features.offline(audio)
    assert whole.shape == (-(-samples // 640), features.blocks, features.channels)
    assert whole.dtype == np.float32
    assert np.abs(streamed(features, audio, cuts) - whole).max(initial=0) < TOLERANCE


def test_interleaved_streams_equal_separate_streams(features: WhisperFeatures, reading: Samples) -> None:
    voices = [reading[:20000], reading[25000:40000]]
    streams = [features.stream() for _ in voices]
    rows: list[list[Samples]] = [[], []]
    for at in range(0, 20000, 1700):
        for voice, stream, out in zip(voices, streams, rows, strict=True):
            out.append(stream.push(voice[at : at + 1700]))
    for voice, stream, out in zip(voices, streams, rows, strict=True):
        joined = np.concatenate([*out, stream.flush()])
        assert np.abs(joined - features.offline(voice)).max() < TOLERANCE


def test_stream_state_can_be_restored(features: WhisperFeatures, reading: Samples) -> None:
    stream = features.stream()
    stream.push(reading[:9000])
    saved = stream.state
    first = stream.push(reading[9000:20000])
    stream.state = saved
    assert np.array_equal(stream.push(reading[9000:20000]), first)


def test_rows_are_returned_as_soon_as_their_lookahead_is_there(features: WhisperFeatures) -> None:
    """Four frames need two of context, whose lookahead is `right` frames less 2 ms."""
    needed = (4 + 2 + features.config.right) * 640 - 32
    noise = np.random.default_rng(0).normal(size=needed).astype(np.float32) * 0.1
    stream = features.stream()
    assert len(stream.push(noise[:-1])) == 2
    assert len(stream.push(noise[-1:])) == 4
    assert features.lookahead_frames == pytest.approx(3 + features.config.right - 32 / 640)


def test_stream_state_has_a_bounded_size(features: WhisperFeatures) -> None:
    stream = features.stream()
    sizes = []
    for _ in range(40):
        stream.push(np.zeros(1234, np.float32))
        sizes.append(len(stream.state.tail))
    assert max(sizes) < (features.config.grid().window + features.config.hop) * 640 + 1000


def test_click_changes_only_the_rows_around_it(features: WhisperFeatures) -> None:
    silence = np.zeros(64000, np.float32)
    click = silence.copy()
    click[32000 : 32000 + 200] = 0.5  # frame 50
    change = np.abs(features.offline(click) - features.offline(silence)).mean((1, 2))
    assert abs(int(change.argmax()) - 50) <= 1
    grid = features.config.grid()
    assert not change[: 50 - grid.hop - grid.right].any()
    assert not change[50 + grid.left + grid.hop + 1 :].any()


def test_windowed_features_correlate_with_whispers_on_the_whole_recording(
    features: WhisperFeatures, reading: Samples
) -> None:
    """Windows of 0.56 s cost accuracy.

    The correlation over time with Whisper's features of the whole recording is 0.73 for layer 2 and 0.56 for layer 4,
    median over channels.
    """
    windowed = features.offline(reading)
    steps = 2 * len(windowed)
    padded = np.zeros(30 * 16000 + 240, np.float32)
    padded[200 : 200 + len(reading)] = reading
    with torch.inference_mode():
        states = features.encoder(features.mel(torch.from_numpy(padded))[None])
    own = np.stack(
        [states[k][0, :steps].reshape(-1, 2, 384).mean(1).numpy() for k in features.config.layers], 1
    )
    a, b = (x - x.mean(0) for x in (windowed, own))
    correlation = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
    medians = np.median(correlation, axis=1)
    assert medians.min() > 0.5


def test_context_windows_repeat_the_edges() -> None:
    rows = np.arange(4, dtype=np.float32)[:, None, None]
    windows = context_windows(rows)
    assert windows.shape == (4, 5, 1, 1)
    assert windows[0, :, 0, 0].tolist() == [0, 0, 0, 1, 2]
    assert windows[3, :, 0, 0].tolist() == [1, 2, 3, 3, 3]


def test_concatenated_steps_average_to_the_mean(reading: Samples, features: WhisperFeatures) -> None:
    both = WhisperFeatures(features.encoder, FeatureConfig(concatenate=True)).offline(reading[:8000])
    assert both.shape[1:] == (2, 768)
    assert np.allclose(both.reshape(-1, 2, 2, 384).mean(2), features.offline(reading[:8000]), atol=1e-5)


def test_misuse_of_a_stream_raises_an_error(features: WhisperFeatures) -> None:
    stream = features.stream()
    with pytest.raises(LipstreamError, match="mono samples"):
        stream.push(np.zeros((2, 100), np.float32))
    stream.flush()
    with pytest.raises(LipstreamError, match="flushed"):
        stream.push(np.zeros(1, np.float32))
    with pytest.raises(LipstreamError, match="flushed"):
        stream.flush()
    with pytest.raises(LipstreamError, match="hop > offset"):
        WindowGrid(hop=2, offset=2)


def test_bfloat16_features_are_close_to_float32(features: WhisperFeatures, reading: Samples) -> None:
    """The root mean square difference is 2.6 % of the standard deviation of the features."""
    half = WhisperFeatures.bundled(dtype=torch.bfloat16).offline(reading[:24000])
    full = features.offline(reading[:24000])
    error = np.sqrt(((half - full) ** 2).mean() / full.var(axis=0).mean())
    assert error < 0.05
