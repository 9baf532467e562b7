"""The bundled model's autoencoder: a small convolutional network without normalisation.

Sixteen pixels a side become one latent token. There is no global statistic anywhere (no normalisation, no attention), so a
decoded crop equals the crop of the decoded frame away from its border, and frames never influence each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class AutoencoderConfig:
    """Widths from full to lowest resolution; the first entry works at half the image's side."""

    latent_channels: int = 32
    encoder_channels: tuple[int, ...] = (32, 64, 128, 128)
    encoder_blocks: tuple[int, ...] = (1, 1, 2, 2)
    decoder_channels: tuple[int, ...] = (32, 64, 128, 160)
    decoder_blocks: tuple[int, ...] = (1, 2, 3, 3)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AutoencoderConfig:
        """From JSON's or a checkpoint's values, whose tuples may have become lists. Raises TypeError for unknown names."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain)

    @property
    def factor(self) -> int:
        """Pixels a side of one latent token."""
        return int(2 ** len(self.decoder_channels))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions on a skip; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(x))
        out: Tensor = x + self.conv2(F.relu(h))
        return out


class Autoencoder(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] to latents (N, C, H/16, W/16) of about unit variance, and back.

    ``latent_mean`` and ``latent_std`` (C,) are measured on the training set after training, so that the diffusion model sees
    normalised latents, as Hallo's 0.18215 does for its own autoencoder.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
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
        latents: Tensor = self.encoder(
            F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)
        )
        return latents

    def decode_raw(self, latents: Tensor) -> Tensor:
        return F.pixel_shuffle(self.decoder(latents.contiguous(memory_format=torch.channels_last)), 2)


def _encoder(config: AutoencoderConfig) -> nn.Sequential:
    widths = config.encoder_channels
    layers: list[nn.Module] = [nn.Conv2d(12, widths[0], 3, padding=1)]
    for level, blocks in enumerate(config.encoder_blocks):
        layers += [ResidualBlock(widths[level]) for _ in range(blocks)]
        if level + 1 < len(widths):
            layers += [nn.ReLU(), nn.Conv2d(widths[level], widths[level + 1], 4, stride=2, padding=1)]
    layers += [nn.ReLU(), nn.Conv2d(widths[-1], config.latent_channels, 3, padding=1)]
    return nn.Sequential(*layers)


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
    layers += [nn.ReLU(), nn.Conv2d(widths[0], 12, 3, padding=1)]
    return nn.Sequential(*layers)
