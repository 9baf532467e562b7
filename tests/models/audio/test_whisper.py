"""Tests that encoder and spectrogram equal Whisper's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder as TransformersEncoder

from lipstream_models.audio.mel import LogMel, whisper_filters
from lipstream_models.audio.whisper import load_whisper
from lipstream_models.errors import LipstreamError, WeightsError


def test_spectrogram_equals_whispers() -> None:
    audio = np.random.default_rng(0).normal(size=32000).astype(np.float32) * 0.1
    theirs = WhisperFeatureExtractor()(audio, sampling_rate=16000, return_tensors="np").input_features[0]
    power = LogMel().log_power(torch.from_numpy(np.pad(audio, (200, 40))))  # (80, 200)
    ours = (torch.maximum(power, power.max() - 8) + 4) / 4
    # At the edges Whisper mirrors the audio, LogMel has silence.
    assert np.abs(ours.numpy()[:, 2:198] - theirs[:, 2:198]).max() < 1e-4


def test_mel_filters_equal_transformers() -> None:
    assert np.abs(whisper_filters().numpy().T - WhisperFeatureExtractor().mel_filters).max() < 1e-6


def test_tone_is_loudest_in_its_mel() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16240) / 16000).astype(np.float32)
    mel = LogMel()(torch.from_numpy(tone))
    assert mel.shape == (80, 100)
    loudest = int(mel[:, 50].argmax())
    assert (
        abs(
            float((whisper_filters()[loudest] * torch.arange(201)).sum() / whisper_filters()[loudest].sum())
            * 40
            - 1000
        )
        < 40
    )


def test_encoder_equals_transformers_on_30_seconds() -> None:
    ours = load_whisper()
    config = WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)
    theirs = TransformersEncoder(config).eval()
    theirs.load_state_dict(ours.state_dict())
    mel = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(mel, output_hidden_states=True).hidden_states
        states = ours(mel)
    assert len(states) == len(expected) == 5
    for state, other in zip(states, expected, strict=True):
        assert float((state - other).abs().max()) < 1e-4


@pytest.mark.parametrize("frames", [0, 7, 3002])
def test_window_of_impossible_length_is_refused(frames: int) -> None:
    with pytest.raises(LipstreamError, match="mel frames"):
        load_whisper()(torch.zeros(1, 80, frames))


def test_missing_or_damaged_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no Whisper encoder weights"):
        load_whisper(tmp_path / "gone.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="not a Whisper tiny encoder"):
        load_whisper(damaged)
