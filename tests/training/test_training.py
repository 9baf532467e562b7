"""Training can be stopped and continued, shared between workers, and taken up again from shipped weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lipstream_models.autoencoders.patch_autoencoder import Autoencoder, AutoencoderConfig
from lipstream_models.bundled import read_bundled
from lipstream_training.autoencoder import training as autoencoder_training
from lipstream_training.autoencoder.principal_components import set_components
from lipstream_training.autoencoder.training import AutoencoderTraining, psnr, trained_autoencoder
from lipstream_training.data.dataset import Clip, ClipTruth
from lipstream_training.diffusion.loss import DiffusionTraining, diffuse
from lipstream_training.diffusion.training import Training
from lipstream_training.optimisation.checkpoint import load_state
from lipstream_training.optimisation.muon import Muon, muon_and_adamw, orthogonal
from lipstream_training.restore import restore

SMALL = AutoencoderConfig(4, (4, 8, 8), (1, 1, 1))
FEW = AutoencoderTraining(steps=4, batch=2, crop=32, log_every=2, save_every=2)


def clip() -> Clip:
    rng = np.random.default_rng(0)
    box = np.tile(np.array([[16, 16, 48, 48]], np.float32), (3, 1))
    truth = ClipTruth(
        np.zeros(1920, np.float32),
        np.zeros((3, 52), np.float32),
        np.zeros(3, np.float32),
        np.zeros(0, np.int64),
        box,
        box,
        np.zeros(1, np.int64),
        np.zeros((1, 3, 64, 64, 2), np.float16),
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((3, 4, 64), np.float32),
    )
    return Clip("clip", rng.integers(0, 255, (3, 64, 64, 3), dtype=np.uint8), truth)


def small() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(SMALL)


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def train(run: Path, steps: int, autoencoder: Autoencoder) -> Autoencoder:
    run.mkdir(exist_ok=True)
    autoencoder_training.train([clip()], [clip()], run, replace(FEW, steps=steps), autoencoder)
    return trained_autoencoder(run)


def test_training_changes_the_weights_and_logs_its_curve(tmp_path: Path) -> None:
    trained = train(tmp_path, 4, small())
    assert not torch.equal(weights(trained), weights(small()))
    curve = [json.loads(line) for line in (tmp_path / "autoencoder.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [2, 4]


def test_a_finished_training_is_left_as_it_is(tmp_path: Path) -> None:
    before = weights(train(tmp_path, 4, small()))
    assert torch.equal(weights(train(tmp_path, 4, small())), before)


def test_latents_stay_what_they_are_while_the_decoder_learns(tmp_path: Path) -> None:
    before, after = small(), train(tmp_path, 4, small())
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(after.encode_raw(images), before.encode_raw(images))
    assert not torch.equal(weights(after.decoder), weights(before.decoder))


def test_muon_makes_matrices_orthogonal() -> None:
    matrices = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(orthogonal(matrices))
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    turned = orthogonal(matrices.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(turned, orthogonal(matrices), atol=1e-4, rtol=1e-4)


def test_muon_learns_a_convolution() -> None:
    torch.manual_seed(0)
    target, learner = nn.Conv2d(4, 8, 3), nn.Conv2d(4, 8, 3)
    rules = muon_and_adamw(learner, 0.02, (), 0.0)
    assert isinstance(rules[0], Muon)
    images = torch.randn(16, 4, 8, 8)
    losses = []
    for _ in range(60):
        loss = (learner(images) - target(images)).square().mean()
        learner.zero_grad()
        loss.backward()
        for rule in rules:
            rule.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_diffused_latents_keep_their_variance() -> None:
    clean, noise = torch.randn(2, 4, 3, 64, 64), torch.randn(2, 4, 3, 64, 64)
    for alpha in (0.0, 0.3, 1.0):
        noisy = diffuse(clean, noise, torch.full((2,), alpha))
        assert noisy.std().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(diffuse(clean, noise, torch.ones(2)), clean)
    torch.testing.assert_close(diffuse(clean, noise, torch.zeros(2)), noise)


def test_training_goes_on_from_the_shipped_weights(tmp_path: Path) -> None:
    shipped = read_bundled()
    restore(shipped, tmp_path)
    autoencoder = trained_autoencoder(tmp_path)
    assert torch.equal(weights(autoencoder), weights(shipped.autoencoder))
    training = Training(
        shipped.network.config,
        DiffusionTraining(),
        load_state(tmp_path / "audio_projection.pt"),
        1.0,
        torch.ones(shipped.network.config.sample_channels, 1, 1, 1),
    )
    assert training.resume(load_state(tmp_path / "diffusion.pt")) == 0
    assert torch.equal(weights(training.trainee), weights(shipped.network))
    assert training.spread == shipped.residual_scale


def test_the_beginning_is_the_best_linear_map() -> None:
    """Frames that two components describe come back exactly from two latent channels."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(2, 768))
    amounts = rng.normal(size=(3, 16, 2))
    patches = np.clip(127.5 + 12 * amounts @ directions, 0, 255)
    grid = patches.reshape(3, 4, 4, 3, 16, 16).transpose(0, 1, 4, 2, 5, 3).reshape(3, 64, 64, 3)
    linear = replace(clip(), frames=grid.round().astype(np.uint8))
    autoencoder = Autoencoder(replace(SMALL, latent_channels=2)).eval()
    set_components(autoencoder, [linear] * 20, 0.0, 0.0)
    images = torch.from_numpy(linear.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert psnr(autoencoder.decode_raw(autoencoder.encode_raw(images)), images) > 40


def test_a_missing_training_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train the autoencoder first"):
        trained_autoencoder(tmp_path)
