"""The five networks as one module that predicts clean latents of windows."""

from __future__ import annotations

import torch
from torch import Tensor

from lipstream_models.networks import Network

from ..data.training_windows import Windows


class Trainee(torch.nn.Module):
    """The five networks with the prediction as their forward, so that wrappers and moving averages see one module."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Windows, noisy: Tensor, timestep: Tensor, unconditional: int) -> Tensor:
        """Predicts the clean latents (B, C, F, h, w). The first ``unconditional`` rows hear nothing and see no portrait."""
        network = self.network
        heard = torch.ones(len(noisy), device=noisy.device)
        heard[:unconditional] = 0
        identity = network.imageproj(windows.embedding * heard[:, None])
        audio = network.audioproj(windows.audio) * heard[:, None, None, None]
        face = network.face_locator(windows.face_region) * heard[:, None, None, None]
        source = network.reference_unet(windows.reference[unconditional:], identity[unconditional:])
        count = windows.motion.shape[1]
        with torch.no_grad():
            # The reference net learns from the portrait; a gradient through the motion frames too would cost as much again.
            motion = network.reference_unet(
                windows.motion.flatten(0, 1), identity.repeat_interleave(count, 0)
            )
        conditions = network.denoising_unet.prepare(
            {name: feature[:, None] for name, feature in source.items()},
            {name: feature.unflatten(0, (-1, count)) for name, feature in motion.items()},
            identity,
            audio,
            [mask.transpose(1, 2)[:, None] for mask in windows.masks],
            face[:, None],
            unconditional,
        )
        prediction: Tensor = network.denoising_unet(noisy, timestep, conditions)
        return prediction
