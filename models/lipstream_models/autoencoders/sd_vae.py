"""Stable Diffusion's autoencoder (diffusers' AutoencoderKL) with Hallo's conventions."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_FRAMES_AT_ONCE = 8  # 2.1 GB of activations at 512 x 512 in half precision


@dataclass(frozen=True)
class StableAutoencoder:
    """A diffusers AutoencoderKL (``module``). Latents are posterior means times ``scaling`` (sd-vae-ft-mse: 0.18215)."""

    module: Any
    scaling: float

    @property
    def latent_channels(self) -> int:
        """Channels L of a latent token."""
        return int(self.module.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels along each side of a latent token."""
        return int(2 ** (len(self.module.config.block_out_channels) - 1))

    def encode(self, pixels: Tensor) -> Tensor:
        """(..., 3, H, W) in [-1, 1] -> (..., L, h, w): the mean of the posterior, not a sample."""
        images = pixels.flatten(0, -4).to(self.module.dtype)
        mean: Tensor = self.module.encode(images).latent_dist.mean
        return torch.unflatten(mean * self.scaling, 0, pixels.shape[:-3])

    def decode(self, latents: Tensor) -> Tensor:
        """(..., L, h, w) -> (..., 3, H, W) in [0, 1]. Decodes a few frames at a time to bound memory."""
        frames = (latents / self.scaling).flatten(0, -4).to(self.module.dtype)
        pixels = torch.cat([self.module.decode(part).sample for part in frames.split(_FRAMES_AT_ONCE)])
        return torch.unflatten((pixels / 2 + 0.5).clamp(0, 1), 0, latents.shape[:-3])
