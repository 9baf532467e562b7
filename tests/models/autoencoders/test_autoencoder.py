"""Patch autoencoder: tokens of 16 x 16 pixels, no global statistics."""

import json
from dataclasses import asdict

import pytest
import torch

from lipstream_models.autoencoders.patch_autoencoder import FACTOR, Autoencoder, AutoencoderConfig
from lipstream_models.config import ConfigError

SMALL = AutoencoderConfig(4, (4, 8, 8), (1, 1, 1))


def random_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """Return an autoencoder with random weights, also in zero-initialised layers."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(config).eval()
    for p in autoencoder.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return autoencoder


@pytest.mark.parametrize("config", [AutoencoderConfig(), SMALL])
def test_token_covers_16_x_16_pixels(config: AutoencoderConfig) -> None:
    autoencoder = Autoencoder(config).eval()
    latents = autoencoder.encode(torch.zeros(1, 3, 64, 32))
    assert latents.shape == (1, config.latent_channels, 64 // FACTOR, 32 // FACTOR)
    assert autoencoder.decode(latents).shape == (1, 3, 64, 32)


@torch.no_grad()
def test_decoded_crop_equals_the_crop_of_the_decoded_frame() -> None:
    autoencoder = random_autoencoder(SMALL)
    latents = torch.randn(1, 4, 24, 24)
    whole = autoencoder.decode(latents)
    part = autoencoder.decode(latents[..., 4:20, 4:20])
    border = 7  # tokens that convolutions at the crop's edge reach into
    inner = slice((4 + border) * FACTOR, (20 - border) * FACTOR)
    valid = slice(border * FACTOR, (16 - border) * FACTOR)
    torch.testing.assert_close(part[..., valid, valid], whole[..., inner, inner])


@torch.no_grad()
def test_frames_are_encoded_independently() -> None:
    autoencoder = random_autoencoder(SMALL)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    together = autoencoder.encode(images)
    alone = torch.cat([autoencoder.encode(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


@torch.no_grad()
def test_latent_statistics_normalise_latents_and_keep_images() -> None:
    autoencoder = random_autoencoder(SMALL)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    raw, plain = autoencoder.encode_raw(images), autoencoder.decode(autoencoder.encode(images))
    autoencoder.latent_mean.copy_(raw.mean((0, 2, 3)))
    autoencoder.latent_std.copy_(raw.std((0, 2, 3)))
    latents = autoencoder.encode(images)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(autoencoder.decode(latents), plain, atol=1e-4, rtol=1e-4)


def test_configuration_survives_a_json_round_trip() -> None:
    assert AutoencoderConfig.from_dict(json.loads(json.dumps(asdict(SMALL)))) == SMALL
    with pytest.raises(ConfigError, match=r"autoencoder\.width: unknown key"):
        AutoencoderConfig.from_dict({"width": 3})


def test_encoder_is_one_linear_map_of_each_patch() -> None:
    autoencoder = Autoencoder(AutoencoderConfig(5, (4, 8, 8), (1, 1, 1)))
    images = torch.rand(2, 3, 32, 48) * 2 - 1
    patches = torch.nn.functional.pixel_unshuffle(images, 16)
    torch.testing.assert_close(autoencoder.encode_raw(images), autoencoder.encoder(patches))
