"""Features of live audio are those of the whole recording, and they say what is spoken."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lipstream_models.audio import (
    FeatureConfig,
    WhisperFeatures,
    context_windows,
    read_audio,
)
from lipstream_models.audio.sliding import WindowGrid
from lipstream_models.errors import LipstreamError

Samples = NDArray[np.float32]
TOLERANCE = 2e-4
"""Of streamed against whole-file features, whose size is about 1: float rounding in other batch sizes."""


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
def test_streamed_features_are_the_whole_files(
    features: WhisperFeatures, reading: Samples, cuts: list[int], samples: int
) -> None:
    audio = reading[:samples]
    whole = features.offline(audio)
    assert whole.shape == (-(-samples // 640), features.blocks, features.channels)
    assert whole.dtype == np.float32
    assert np.abs(streamed(features, audio, cuts) - whole).max(initial=0) < TOLERANCE


def test_interleaved_streams_give_what_each_gives_alone(features: WhisperFeatures, reading: Samples) -> None:
    voices = [reading[:20000], reading[25000:40000]]
    streams = [features.stream() for _ in voices]
    rows: list[list[Samples]] = [[], []]
    for at in range(0, 20000, 1700):
        for voice, stream, out in zip(voices, streams, rows, strict=True):
            out.append(stream.push(voice[at : at + 1700]))
    for voice, stream, out in zip(voices, streams, rows, strict=True):
        joined = np.concatenate([*out, stream.flush()])
        assert np.abs(joined - features.offline(voice)).max() < TOLERANCE


def test_the_state_is_a_value(features: WhisperFeatures, reading: Samples) -> None:
    stream = features.stream()
    stream.push(reading[:9000])
    kept = stream.state
    first = stream.push(reading[9000:20000])
    stream.state = kept
    assert np.array_equal(stream.push(reading[9000:20000]), first)


def test_a_clip_and_its_context_are_ready_without_waiting_for_more(features: WhisperFeatures) -> None:
    """Four frames of a clip need two more of context, and those look `right` frames ahead, less 2 ms."""
    needed = (4 + 2 + features.config.right) * 640 - 32
    noise = np.random.default_rng(0).normal(size=needed).astype(np.float32) * 0.1
    stream = features.stream()
    assert len(stream.push(noise[:-1])) == 2
    assert len(stream.push(noise[-1:])) == 4
    assert features.look_ahead_frames == pytest.approx(3 + features.config.right - 32 / 640)


def test_memory_does_not_grow_with_the_stream(features: WhisperFeatures) -> None:
    stream = features.stream()
    held = []
    for _ in range(40):
        stream.push(np.zeros(1234, np.float32))
        held.append(len(stream.state.tail))
    assert max(held) < (features.config.grid().window + features.config.hop) * 640 + 1000


def test_rows_hear_their_own_time(features: WhisperFeatures) -> None:
    """A click changes the rows around it, and none whose window does not reach it."""
    silence = np.zeros(64000, np.float32)
    click = silence.copy()
    click[32000 : 32000 + 200] = 0.5  # frame 50
    change = np.abs(features.offline(click) - features.offline(silence)).mean((1, 2))
    assert abs(int(change.argmax()) - 50) <= 1
    grid = features.config.grid()
    assert not change[: 50 - grid.hop - grid.right].any()
    assert not change[50 + grid.left + grid.hop + 1 :].any()


def test_features_stay_near_those_of_the_whole_whisper(features: WhisperFeatures, reading: Samples) -> None:
    """The price of hearing 0.56 s at a time: correlation over time with what Whisper says of the whole

    recording, median over channels: 0.73 for layer 2, 0.56 for layer 4.
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


def test_context_repeats_the_edges() -> None:
    rows = np.arange(4, dtype=np.float32)[:, None, None]
    windows = context_windows(rows)
    assert windows.shape == (4, 5, 1, 1)
    assert windows[0, :, 0, 0].tolist() == [0, 0, 0, 1, 2]
    assert windows[3, :, 0, 0].tolist() == [1, 2, 3, 3, 3]


def test_concatenated_steps_average_to_the_mean(reading: Samples, features: WhisperFeatures) -> None:
    both = WhisperFeatures(features.encoder, FeatureConfig(concatenate=True)).offline(reading[:8000])
    assert both.shape[1:] == (2, 768)
    assert np.allclose(both.reshape(-1, 2, 2, 384).mean(2), features.offline(reading[:8000]), atol=1e-5)


def test_misuse_is_named(features: WhisperFeatures) -> None:
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


def test_bfloat16_stays_close(features: WhisperFeatures, reading: Samples) -> None:
    """Root mean square difference of 2.6 % of the features' own spread."""
    half = WhisperFeatures.bundled(dtype=torch.bfloat16).offline(reading[:24000])
    full = features.offline(reading[:24000])
    error = np.sqrt(((half - full) ** 2).mean() / full.var(axis=0).mean())
    assert error < 0.05
