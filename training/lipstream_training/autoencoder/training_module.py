"""The autoencoder as a module to train, and its loss."""

from __future__ import annotations

import torch
from torch import Tensor

from lipstream_models.autoencoders.patch_autoencoder import Autoencoder
from lipstream_models.device.precision import autocast
from lipstream_models.quality.image_quality import psnr_of_error

from .batch import FrameBatch


class AutoencoderTrainingModule(torch.nn.Module):
    """Encodes and decodes; in training mode with noise on the latents, such as the diffusion model leaves.

    Args:
        autoencoder: The autoencoder to train.
        max_noise: Largest standard deviation of the noise.
    """

    def __init__(self, autoencoder: Autoencoder, max_noise: float) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.max_noise = max_noise

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstruction (N, 3, H, W) of images (N, 3, H, W) in [-1, 1]."""
        with autocast(images.device):
            latents = self.autoencoder.encode_raw(images)
            if self.training:
                deviations = self.max_noise * torch.rand(len(latents), 1, 1, 1, device=latents.device)
                latents = latents + deviations * torch.randn_like(latents)
            return self.autoencoder.decode_raw(latents).float()


def reconstruction_loss(output: Tensor, batch: FrameBatch, face_weight: float, mouth_weight: float) -> Tensor:
    """Return the weighted error of pixels and of the differences between neighbouring pixels, a scalar.

    Without the differences lips and teeth come out blurred.

    Args:
        output: (N, 3, H, W), the reconstruction of ``batch.images``.
        batch: The true frames.
        face_weight: Extra weight of a pixel of the face.
        mouth_weight: Extra weight of a pixel of the mouth.
    """
    weight = 1 + face_weight * batch.face + mouth_weight * batch.mouth
    weight = weight / weight.mean()
    error = output - batch.images
    across, down = error.diff(dim=-1), error.diff(dim=-2)
    edges = (across.abs() * weight[..., 1:]).mean() + (down.abs() * weight[..., 1:, :]).mean()
    return (error.abs() * weight).mean() + 4 * (error.square() * weight).mean() + edges


def masked_psnr(output: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Return the PSNR in decibels of images (N, 3, H, W) in [-1, 1], inside a mask (N, 1, H, W) if there is one."""
    error = (output.clamp(-1, 1) - target).square()
    mean = error.mean() if mask is None else (error * mask).sum() / (mask.sum() * error.shape[1])
    return psnr_of_error(mean.item(), 2)
