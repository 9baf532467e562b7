"""A model that gets more latent channels keeps what it knew and sees more."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lipstream_models.autoencoder import Autoencoder, AutoencoderConfig
from lipstream_models.bundled import read_bundled
from lipstream_training.autoencoder_training import psnr
from lipstream_training.dataset import Clip, ClipTruth
from lipstream_training.principal_components import set_components
from lipstream_training.widen import padded, widened, widened_autoencoder

SMALL = AutoencoderConfig(4, (4, 8, 8), (1, 1, 1))


def clips(count: int = 12) -> list[Clip]:
    """Frames of eight components of patches, some stronger than others, and a little of everything else."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(8, 768)) * np.geomspace(1, 0.2, 8)[:, None]
    box = np.array([[16, 16, 48, 48]], np.float32)
    made = []
    for number in range(count):
        patches = 127.5 + 10 * rng.normal(size=(16, 8)) @ directions + rng.normal(size=(16, 768))
        grid = patches.reshape(4, 4, 3, 16, 16).transpose(0, 3, 1, 4, 2).reshape(1, 64, 64, 3)
        sound, nothing = np.zeros(640, np.float32), np.zeros((1, 52), np.float32)
        truth = ClipTruth(sound, nothing, nothing[:, 0], np.zeros(0, np.int64), box, box)
        made.append(Clip(str(number), grid.clip(0, 255).round().astype(np.uint8), truth))
    return made


def images_of(these: list[Clip]) -> torch.Tensor:
    frames = torch.from_numpy(np.concatenate([clip.frames for clip in these]))
    return frames.permute(0, 3, 1, 2).float() / 127.5 - 1


def trained(seed: int = 0) -> Autoencoder:
    """Four components, a decoder whose weights are not zero, and measured statistics."""
    torch.manual_seed(seed)
    autoencoder = Autoencoder(SMALL).eval()
    set_components(autoencoder, clips(), 0.0, 0.0)
    torch.nn.init.normal_(autoencoder.decoder[-1].weight, std=1e-4)  # type: ignore[arg-type]
    autoencoder.latent_mean.uniform_(-1, 1)
    autoencoder.latent_std.fill_(0.7)
    return autoencoder


def test_old_channels_keep_their_latents() -> None:
    old = trained()
    new, images = widened_autoencoder(old, clips(), 8), images_of(clips())
    torch.testing.assert_close(new.encode(images)[:, :4], old.encode(images))


def test_new_channels_alone_add_to_the_picture_what_was_missing() -> None:
    old = trained()
    new, images = widened_autoencoder(old, clips(), 8), images_of(clips())
    latents = new.encode_raw(images)
    silent = latents.clone()
    silent[:, 4:] = 0
    torch.testing.assert_close(new.decode_raw(silent), old.decode_raw(latents[:, :4]))
    assert psnr(new.decode_raw(latents), images) > psnr(old.decode_raw(latents[:, :4]), images) + 4


def test_new_latents_are_centred() -> None:
    new = widened_autoencoder(trained(), clips(), 8)
    latents = new.encode(images_of(clips()))[:, 4:]
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 0.05 * latents.std()


def test_a_wider_network_says_of_the_old_channels_what_it_said_and_of_the_new_ones_nothing() -> None:
    shipped = read_bundled()
    channels = shipped.network.config.latent_channels
    wide = widened(shipped, clips(), channels + 4)
    narrow_net, wide_net = shipped.network.reference_unet, wide.network.reference_unet
    latents = torch.randn(1, channels + 4, 8, 8)
    torch.testing.assert_close(wide_net.conv_in(latents), narrow_net.conv_in(latents[:, :channels]))
    assert not wide.network.denoising_unet.conv_out.weight[channels:].any()
    assert not wide.network.denoising_unet.conv_out.bias[channels:].any()  # type: ignore[index]
    assert wide.spread == shipped.spread


def test_fewer_channels_are_refused() -> None:
    shipped = read_bundled()
    with pytest.raises(ValueError, match="expected more than the"):
        widened(shipped, clips(), shipped.network.config.latent_channels)


def test_weights_that_have_the_right_shape_stay_as_they_are() -> None:
    old = trained()
    same = padded(old.state_dict(), Autoencoder(replace(SMALL)).state_dict())
    for name, value in old.state_dict().items():
        assert torch.equal(same[name], value), name
