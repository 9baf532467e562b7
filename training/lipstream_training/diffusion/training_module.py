"""The five networks of the diffusion model as one module to train."""

from __future__ import annotations

import torch
from torch import Tensor

from lipstream_models.networks import Network

from ..data.training_windows import TrainingWindows


class DiffusionTrainingModule(torch.nn.Module):
    """Predicts the clean latents of training windows with all five networks.

    Args:
        network: The networks.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, windows: TrainingWindows, noisy: Tensor, timestep: Tensor, unconditional: int
    ) -> Tensor:
        """Return the predicted clean latents (B, C, F, h, w).

        Args:
            windows: Conditions of B windows.
            noisy: (B, C, F, h, w) noisy latents.
            timestep: (B,) timesteps.
            unconditional: Number of leading rows without audio, identity, face region and reference.
        """
        network = self.network
        conditioned = torch.ones(len(noisy), device=noisy.device)
        conditioned[:unconditional] = 0
        identity = network.imageproj(windows.embedding * conditioned[:, None])
        audio = network.audioproj(windows.audio) * conditioned[:, None, None, None]
        face = network.face_locator(windows.face_region) * conditioned[:, None, None, None]
        reference = network.reference_unet(windows.reference[unconditional:], identity[unconditional:])
        count = windows.motion.shape[1]
        with torch.no_grad():
            # The reference network learns from the portrait only: gradients through the motion frames would
            # cost as much again.
            motion = network.reference_unet(
                windows.motion.flatten(0, 1), identity.repeat_interleave(count, 0)
            )
        conditions = network.denoising_unet.prepare(
            {name: feature[:, None] for name, feature in reference.items()},
            {name: feature.unflatten(0, (-1, count)) for name, feature in motion.items()},
            identity,
            audio,
            [mask.transpose(1, 2)[:, None] for mask in windows.masks],
            face[:, None],
            unconditional,
        )
        prediction: Tensor = network.denoising_unet(noisy, timestep, conditions)
        return prediction
