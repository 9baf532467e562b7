"""Diffusion training: the noise that it adds, and training that continues from the shipped weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lipstream_models.bundled import read_bundled
from lipstream_training.autoencoder.training import load_autoencoder
from lipstream_training.diffusion.loss import diffuse
from lipstream_training.diffusion.options import DiffusionTraining
from lipstream_training.diffusion.training import DiffusionTrainer
from lipstream_training.optimisation.checkpoint import load_state
from lipstream_training.stages.restore import restore


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_diffused_latents_have_the_variance_of_clean_ones() -> None:
    clean, noise = torch.randn(2, 4, 3, 64, 64), torch.randn(2, 4, 3, 64, 64)
    for alpha in (0.0, 0.3, 1.0):
        noisy = diffuse(clean, noise, torch.full((2,), alpha))
        assert noisy.std().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(diffuse(clean, noise, torch.ones(2)), clean)
    torch.testing.assert_close(diffuse(clean, noise, torch.zeros(2)), noise)


def test_training_continues_from_the_shipped_weights(tmp_path: Path) -> None:
    shipped = read_bundled()
    restore(shipped, tmp_path)
    assert torch.equal(weights(load_autoencoder(tmp_path)), weights(shipped.autoencoder))
    state = load_state(tmp_path / "diffusion.pt")
    assert state is not None
    projection = load_state(tmp_path / "audio_projection.pt")
    trainer = DiffusionTrainer(shipped.network.config, DiffusionTraining(), projection, 1.0)
    trainer.load_state_dict(state)
    assert trainer.step == 0
    assert torch.equal(weights(trainer.module), weights(shipped.network))
    assert torch.equal(weights(trainer.averaged), weights(shipped.network))
    assert trainer.residual_scale == shipped.residual_scale
