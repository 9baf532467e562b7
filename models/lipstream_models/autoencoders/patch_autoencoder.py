"""The bundled model's autoencoder: patches of 16 x 16 pixels, each a token of its strongest linear components.

The encoder is linear: the principal components of patches. The decoder is their inverse and a small convolutional network that adds
what neighbours tell about what was lost; it can be trained further without touching the latents. There is no global statistic
anywhere (no normalisation, no attention), so a decoded crop equals the crop of the decoded frame away from its border, and frames
never influence each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FACTOR = 16  # pixels a side of one latent token
PATCH = 3 * FACTOR**2


@dataclass(frozen=True)
class AutoencoderConfig:
    """Widths of the decoder's network from its finest to its coarsest level.

    The coarsest has one position a latent token, each finer one twice as many a side; what is missing from the finest to pixels is
    shuffled between space and channels.
    """

    latent_channels: int = 128
    decoder_channels: tuple[int, ...] = (48, 96, 128)
    decoder_blocks: tuple[int, ...] = (1, 2, 2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AutoencoderConfig:
        """From JSON's or a checkpoint's values, whose tuples may have become lists. Raises TypeError for unknown names."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**plain)

    @property
    def shuffle(self) -> int:
        """Pixels a side of one position of the finest level."""
        return FACTOR >> (len(self.decoder_channels) - 1)


class Silent(nn.Conv2d):
    """A layer that starts with nothing to say, so that what it is added to is heard alone."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions on a skip; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = Silent(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(x))
        out: Tensor = x + self.conv2(F.relu(h))
        return out


class Autoencoder(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] to latents (N, C, H/16, W/16), and back.

    ``latent_mean`` and ``latent_std`` (C,) are measured on the training set, so that the diffusion model sees latents of unit
    variance over all channels, as Hallo's 0.18215 does for its own autoencoder.
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
        # The same as the encoder of `pixel_unshuffle`, which on a CPU takes longer to lay out patches than to multiply them.
        kernel = self.encoder.weight.reshape(-1, 3, FACTOR, FACTOR)
        return F.conv2d(images, kernel, self.encoder.bias, stride=FACTOR)

    def decode_raw(self, latents: Tensor) -> Tensor:
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
    layers += [nn.ReLU(), Silent(widths[0], 3 * config.shuffle**2, 3, padding=1)]
    return nn.Sequential(*layers)
