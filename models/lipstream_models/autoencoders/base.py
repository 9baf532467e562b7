"""Latent codecs: one interface for Hallo's autoencoder and the bundled one."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .patch_autoencoder import FACTOR, Autoencoder
from .sd_vae import StableAutoencoder


class LatentCodec(Protocol):
    """Converts images (N, 3, H, W) in [-1, 1] to latents (N, C, H/factor, W/factor) of unit variance, and back."""

    @property
    def factor(self) -> int:
        """Pixels along each side of a latent token."""
        ...

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, C, H/factor, W/factor)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, h*factor, w*factor), nominally in [-1, 1]."""
        ...


class VaeCodec:
    """`LatentCodec` of Stable Diffusion's autoencoder with Hallo's conventions."""

    def __init__(self, autoencoder: StableAutoencoder) -> None:
        self.autoencoder = autoencoder
        self.factor = autoencoder.factor

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, C, H/8, W/8)."""
        return self.autoencoder.encode(images)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, 8h, 8w) in [-1, 1]."""
        return self.autoencoder.decode(latents) * 2 - 1


class AutoencoderCodec:
    """`LatentCodec` of the bundled model's autoencoder."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder.eval()
        self.factor = FACTOR

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, C, H/16, W/16)."""
        return self.autoencoder.encode(images)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, 16h, 16w), nominally in [-1, 1], not clamped."""
        return self.autoencoder.decode(latents)
