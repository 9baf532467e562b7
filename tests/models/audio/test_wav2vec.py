"""Tests of Hallo's audio features with a small random wav2vec2; the published weights are too large."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Model

from lipstream_models.audio.wav2vec import LiveConfig, Wav2VecError, Wav2VecFeatures

CONFIG = Wav2Vec2Config(
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=64,
    conv_dim=(16,) * 7,
    num_conv_pos_embeddings=128,
    num_conv_pos_embedding_groups=4,
)


@pytest.fixture(scope="module")
def features() -> Wav2VecFeatures:
    torch.manual_seed(0)
    return Wav2VecFeatures(Wav2Vec2Model(CONFIG))


def speechlike(seconds: float, seed: int = 0) -> np.ndarray:
    """Return noise of changing level, like syllables."""
    rng = np.random.default_rng(seed)
    n = round(16000 * seconds)
    level = np.interp(
        np.arange(n),
        np.arange(0, n + 2000, 2000),
        rng.uniform(0, 0.3, n // 2000 + 2)[: -(-(n + 2000) // 2000)],
    )
    return (level * rng.normal(size=n)).astype(np.float32)


def reference(model: Wav2Vec2Model, audio: np.ndarray) -> np.ndarray:
    """Return Hallo's features by transformers' own feature extractor and encoder."""
    values = Wav2Vec2FeatureExtractor()(audio, sampling_rate=16000, return_tensors="pt").input_values
    frames = int(np.ceil(len(audio) / 16000 * 25))
    if frames % 16:
        values = F.pad(values, (0, (16 - frames % 16) * 640))
        frames += 16 - frames % 16
    with torch.no_grad():
        features = F.interpolate(
            model.feature_extractor(values), size=frames, mode="linear", align_corners=True
        )
        projected, _ = model.feature_projection(features.transpose(1, 2))
        states = [model.encoder(projected).last_hidden_state]
        layers = list(model.encoder.layers)
        for count in range(len(layers) - 1, 0, -1):  # earlier states: the encoder without the later layers
            model.encoder.layers = torch.nn.ModuleList(layers[:count])
            states.insert(0, model.encoder(projected).last_hidden_state)
        model.encoder.layers = torch.nn.ModuleList(layers)
    return torch.stack(states, 2)[0].numpy()


@pytest.mark.parametrize("samples", [100, 10240, 10241, 32001])
def test_offline_features_equal_hallos(features: Wav2VecFeatures, samples: int) -> None:
    audio = speechlike(samples / 16000)
    assert np.abs(features.padded(audio) - reference(features.model, audio)).max() < 1e-4
    rows = features.offline(audio)
    assert rows.shape == (-(-samples // 640), features.blocks, features.channels) == (len(rows), 3, 32)
    assert np.array_equal(rows, features.padded(audio)[: len(rows)])


def test_whole_recording_stream_returns_its_rows_at_the_end(features: Wav2VecFeatures) -> None:
    audio = speechlike(1.3)
    stream = features.stream()
    given_before = [len(stream.push(piece)) for piece in np.split(audio, [5, 700, 9000])]
    assert not any(given_before)
    assert np.array_equal(stream.flush(), features.offline(audio))
    assert features.offline(audio[:0]).shape == (0, 3, 32)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=8), st.integers(0, 30000))
def test_live_rows_do_not_depend_on_the_chunks(
    features: Wav2VecFeatures, cuts: list[int], samples: int
) -> None:
    audio = speechlike(2.0)[:samples]
    live = features.live(LiveConfig(left=12, right=2))
    stream = live.stream()
    rows = [stream.push(piece) for piece in np.split(audio, np.cumsum(cuts))]
    rows.append(stream.flush())
    assert np.abs(np.concatenate(rows) - live.offline(audio)).max(initial=0) < 1e-4


def test_live_rows_are_close_to_those_of_the_whole_recording(features: Wav2VecFeatures) -> None:
    """With these random weights the difference is 0.32 standard deviations (rms) with windows of 3 s."""
    audio = speechlike(8.0)
    whole = features.offline(audio)
    spread = whole.std(axis=0)
    differences = {
        left: float(
            np.sqrt((((features.live(LiveConfig(left=left)).offline(audio) - whole) / spread) ** 2).mean())
        )
        for left in (12, 75)
    }
    assert differences[75] < 0.35
    assert differences[75] < differences[12]


def test_saved_folder_is_loaded_without_its_text_head(features: Wav2VecFeatures, tmp_path: Path) -> None:
    """wav2vec2-base-960h is published with a head for transcription, which is not used."""
    published = Wav2Vec2ForCTC(CONFIG)
    published.wav2vec2 = features.model
    published.save_pretrained(tmp_path)
    audio = speechlike(0.5)
    assert np.abs(Wav2VecFeatures.load(tmp_path).offline(audio) - features.offline(audio)).max() < 1e-5


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Wav2VecError, match="expected a wav2vec2 model"):
        Wav2VecFeatures.load(tmp_path)
