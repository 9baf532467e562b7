"""Pixels to latents and back, behind one face for Hallo's VAE and the bundled autoencoder."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .patch_autoencoder import FACTOR, Autoencoder
from .sd_vae import StableAutoencoder


class LatentCodec(Protocol):
    """Images (N, 3, H, W) in [-1, 1] and latents (N, C, H/factor, W/factor) of about unit variance."""

    @property
    def factor(self) -> int: ...

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...


class VaeCodec:
    """Stable Diffusion's VAE with Hallo's conventions."""

    def __init__(self, autoencoder: StableAutoencoder) -> None:
        self.autoencoder = autoencoder
        self.factor = autoencoder.factor

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return self.autoencoder.encode(images)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self.autoencoder.decode(latents) * 2 - 1


class AutoencoderCodec:
    """The bundled model's autoencoder."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder.eval()
        self.factor = FACTOR

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return self.autoencoder.encode(images)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self.autoencoder.decode(latents)
