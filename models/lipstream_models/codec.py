"""Pixels to latents and back, behind one face for Hallo's VAE and the bundled autoencoder."""

from __future__ import annotations

from typing import Protocol

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .autoencoder import Autoencoder


class Codec(Protocol):
    """Images (N, 3, H, W) in [-1, 1] and latents (N, C, H/factor, W/factor) of about unit variance."""

    @property
    def factor(self) -> int: ...

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...


class VaeCodec:
    """Stable Diffusion's VAE as Hallo uses it: the mean of the posterior, times 0.18215."""

    def __init__(self, vae: AutoencoderKL, batch: int = 4) -> None:
        self.vae = vae.eval()
        self.batch = batch
        self.scaling: float = vae.config.scaling_factor
        self.factor: int = 2 ** (len(vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        means = [self.vae.encode(part).latent_dist.mean for part in images.split(self.batch)]
        return torch.cat(means) * self.scaling

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        parts = (latents / self.scaling).split(self.batch)
        return torch.cat([self.vae.decode(part).sample for part in parts])


class AutoencoderCodec:
    """The bundled model's autoencoder."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder.eval()
        self.factor = autoencoder.config.factor

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return self.autoencoder.encode(images)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self.autoencoder.decode(latents)
