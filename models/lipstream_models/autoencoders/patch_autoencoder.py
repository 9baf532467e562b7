"""Autoencoder of the bundled model: each patch of 16 x 16 pixels becomes one latent token.

The encoder is linear: the principal components of patches. The decoder is the inverse map plus a small convolutional
network that restores detail from neighbouring tokens; it can be trained further without changing the latents. There
is no global statistic (no normalisation, no attention): away from its border, a decoded crop equals the crop of the
decoded frame, and frames never influence each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import JsonConfig

FACTOR = 16  # pixels along each side of a latent token
PATCH = 3 * FACTOR**2


@dataclass(frozen=True)
class AutoencoderConfig(JsonConfig):
    """Shape of the autoencoder.

    Attributes:
        latent_channels: channels of a latent token.
        decoder_channels: width of each level of the decoder network, finest first. The coarsest level has the
            resolution of the latents, each finer one twice that; pixel shuffle does the rest.
        decoder_blocks: residual blocks of each level.
    """

    title: ClassVar[str] = "autoencoder"

    latent_channels: int = 128
    decoder_channels: tuple[int, ...] = (48, 96, 128)
    decoder_blocks: tuple[int, ...] = (1, 2, 2)

    @property
    def shuffle(self) -> int:
        """Pixels along each side of one position of the finest level."""
        return FACTOR >> (len(self.decoder_channels) - 1)


class ZeroInitConv2d(nn.Conv2d):
    """Zero-initialised convolution: the residual branch that ends in it starts as zero."""

    def reset_parameters(self) -> None:
        """Set weight and bias to zero."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection; the identity at initialisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = ZeroInitConv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        h = self.conv1(F.relu(x))
        out: Tensor = x + self.conv2(F.relu(h))
        return out


class Autoencoder(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] to latents (N, C, H/16, W/16), and back.

    ``latent_mean`` and ``latent_std`` (C,) are measured on the training set. They give the diffusion model latents of
    unit variance over all channels, as the factor 0.18215 does for Hallo's autoencoder.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Conv2d(PATCH, config.latent_channels, 1)
        self.inverse = nn.Conv2d(config.latent_channels, PATCH, 1)
        self.decoder = _decoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.latent_channels))
        self.register_buffer("latent_std", torch.ones(config.latent_channels))

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> normalised latents (N, C, H/16, W/16)."""
        raw = self.encode_raw(images)
        return (raw - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents (N, C, h, w) -> images (N, 3, 16h, 16w), nominally in [-1, 1], not clamped."""
        return self.decode_raw(latents * self.latent_std[:, None, None] + self.latent_mean[:, None, None])

    def encode_raw(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> latents (N, C, H/16, W/16) before normalisation."""
        # Equal to `encoder` after `pixel_unshuffle`, whose copies take longer on a CPU than the products.
        kernel = self.encoder.weight.reshape(-1, 3, FACTOR, FACTOR)
        return F.conv2d(images, kernel, self.encoder.bias, stride=FACTOR)

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Latents before normalisation (N, C, h, w) -> images (N, 3, 16h, 16w)."""
        latents = latents.contiguous(memory_format=torch.channels_last)
        linear = F.pixel_shuffle(self.inverse(latents), FACTOR)
        return linear + F.pixel_shuffle(self.decoder(latents), self.config.shuffle)


def _decoder(config: AutoencoderConfig) -> nn.Sequential:
    widths = config.decoder_channels
    layers: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)]
    for level in reversed(range(len(widths))):
        layers += [ResidualBlock(widths[level]) for _ in range(config.decoder_blocks[level])]
        if level:
            layers += [
                nn.ReLU(),
                nn.Conv2d(widths[level], widths[level - 1], 3, padding=1),
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(widths[level - 1], widths[level - 1], 3, padding=1),
            ]
    layers += [nn.ReLU(), ZeroInitConv2d(widths[0], 3 * config.shuffle**2, 3, padding=1)]
    return nn.Sequential(*layers)
