"""Mouths that are predicted from audio move as much as mouths in speech."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lipstream_training.diffusion.audio_to_blendshapes import STATE, AudioToBlendshapes, load_mouth_predictor


def test_predicted_blendshapes_have_the_quantiles_of_speech() -> None:
    torch.manual_seed(0)
    network = AudioToBlendshapes().eval()
    tokens = torch.randn(400, network.mean.shape[0])
    target = torch.rand(400, 52)
    with torch.no_grad():
        expected = network(tokens)
        network.set_quantiles(expected, target)
        stretched = network.stretched(tokens)
    assert stretched.std() > 2 * expected.numpy().std()
    for share in (0.05, 0.5, 0.95):
        wanted = np.quantile(target.numpy(), share, axis=0)
        np.testing.assert_allclose(np.quantile(stretched, share, axis=0), wanted, atol=0.02)
    order = np.argsort(expected[:, 3].numpy())
    assert (np.diff(stretched[order, 3]) >= 0).all()


def test_missing_network_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=STATE):
        load_mouth_predictor(tmp_path)
