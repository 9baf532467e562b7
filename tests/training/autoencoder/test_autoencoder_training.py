"""Autoencoder training: reproducible, resumable, and without effect on latents."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rendered_clips import rendered_clip
from torch import Tensor, nn

from lipstream_models.autoencoders.patch_autoencoder import Autoencoder, AutoencoderConfig
from lipstream_training.autoencoder.options import AutoencoderTraining
from lipstream_training.autoencoder.principal_components import fit_components
from lipstream_training.autoencoder.training import load_autoencoder, train
from lipstream_training.autoencoder.training_module import masked_psnr
from lipstream_training.data.dataset import RenderedClip

SMALL = AutoencoderConfig(4, (4, 8, 8), (1, 1, 1))
OPTIONS = AutoencoderTraining(steps=4, batch=2, crop=32, log_every=2, save_every=2)


def noise_clip() -> RenderedClip:
    return rendered_clip(np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8))


def small_autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(SMALL)


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def trained(run: Path, **options: float) -> Autoencoder:
    run.mkdir(exist_ok=True)
    train([noise_clip()], [noise_clip()], run, replace(OPTIONS, **options), small_autoencoder())
    return load_autoencoder(run)


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    trained(run)
    return run


def test_training_changes_the_weights(finished_run: Path) -> None:
    assert not torch.equal(weights(load_autoencoder(finished_run)), weights(small_autoencoder()))


def test_training_logs_its_curve(finished_run: Path) -> None:
    curve = [json.loads(line) for line in (finished_run / "autoencoder.jsonl").read_text().splitlines()]
    assert [line["step"] for line in curve] == [2, 4]


def test_finished_training_is_left_unchanged(finished_run: Path) -> None:
    before = weights(load_autoencoder(finished_run))
    assert torch.equal(weights(trained(finished_run)), before)


def test_interrupted_training_ends_as_an_uninterrupted_one(finished_run: Path, tmp_path: Path) -> None:
    for _ in range(3):  # no time at all: each call makes one step and stops
        trained(tmp_path, max_minutes=0.0)
    resumed = trained(tmp_path)
    assert torch.equal(weights(resumed), weights(load_autoencoder(finished_run)))


def test_validation_is_logged(tmp_path: Path) -> None:
    trained(tmp_path, validate_every=4)
    last = json.loads((tmp_path / "autoencoder.jsonl").read_text().splitlines()[-1])
    assert {"whole_db", "face_db", "mouth_db"} <= set(last)


def test_latents_stay_the_same_while_the_decoder_is_trained(finished_run: Path) -> None:
    before, after = small_autoencoder(), load_autoencoder(finished_run)
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(after.encode_raw(images), before.encode_raw(images))
    assert not torch.equal(weights(after.decoder), weights(before.decoder))


def test_initial_autoencoder_is_the_best_linear_map() -> None:
    """Frames that two components describe come back exactly from two latent channels."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(2, 768))
    amounts = rng.normal(size=(3, 16, 2))
    patches = np.clip(127.5 + 12 * amounts @ directions, 0, 255)
    grid = patches.reshape(3, 4, 4, 3, 16, 16).transpose(0, 1, 4, 2, 5, 3).reshape(3, 64, 64, 3)
    linear = rendered_clip(grid.round().astype(np.uint8))
    autoencoder = Autoencoder(replace(SMALL, latent_channels=2)).eval()
    fit_components(autoencoder, [linear] * 20, 0.0, 0.0)
    images = torch.from_numpy(linear.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert masked_psnr(autoencoder.decode_raw(autoencoder.encode_raw(images)), images) > 40


def test_missing_training_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train the autoencoder first"):
        load_autoencoder(tmp_path)
