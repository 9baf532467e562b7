"""The loss of the diffusion model: the weighted error of the clean latents that it predicts from noisy ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lipstream_models.device.precision import autocast

from ..data.training_windows import TrainingWindows


def diffuse(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """Return noisy latents (B, C, F, h, w).

    Args:
        clean: (B, C, F, h, w) clean latents.
        noise: (B, C, F, h, w) noise of unit variance.
        alpha: (B,) cumulative product of the noise schedule at each row's timestep.
    """
    signal, sigma = (x.sqrt()[:, None, None, None, None] for x in (alpha, 1 - alpha))
    return signal * clean + sigma * noise


def sample_timesteps(rows: int, count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Return random timesteps (rows,) below ``count``, most of them noisy.

    A uniform t becomes s t / (1 + (s - 1) t) for the shift s (Esser et al. 2024, eq. 23). Latents of many channels
    remain visible through much noise, and a model that can see its target ignores its conditions: it learns from
    audio and motion frames only where noise hides nearly everything.
    """
    # One from each of as many equal intervals: every batch covers the whole range, which steadies the loss.
    device = generator.device
    t = (torch.arange(rows, device=device) + torch.rand(rows, generator=generator, device=device)) / rows
    shifted = shift * t / (1 + (shift - 1) * t)
    timesteps: Tensor = (shifted * count).long().clamp(max=count - 1)
    return timesteps[torch.randperm(rows, generator=generator, device=device)]


@dataclass(frozen=True)
class DiffusionLoss:
    """Mean squared error of the clean latents, weighted by position, channel and timestep.

    Timesteps are weighted as in Min-SNR (Hang et al. 2023): an error of the clean sample counts 1 / (1 - alpha)
    times as much as one of v, up to ``weight_cap``. Without the cap the nearly clean timesteps, which only copy their
    input, would take most of the gradient.

    Attributes:
        alphas: (T,) cumulative product of the noise schedule, on the device that trains.
        channel_weights: (C, 1, 1, 1) weights of the channels, on the same device.
        timestep_shift: See `sample_timesteps`.
        weight_cap: Largest weight of a timestep.
    """

    alphas: Tensor
    channel_weights: Tensor
    timestep_shift: float
    weight_cap: float

    def __call__(
        self,
        module: Callable[..., Tensor],
        windows: TrainingWindows,
        unconditional: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            module: A `DiffusionTrainingModule`.
            windows: A batch of windows.
            unconditional: Number of leading rows that are trained without conditions.
            generator: Random generator on the device of the windows, for noise and timesteps.
        """
        timestep = sample_timesteps(len(windows.latents), len(self.alphas), self.timestep_shift, generator)
        noise = torch.randn(windows.latents.shape, generator=generator, device=generator.device)
        alpha = self.alphas[timestep]
        noisy = diffuse(windows.latents, noise, alpha)
        with autocast(generator.device):
            prediction = module(windows, noisy, timestep, unconditional)
        by_timestep = (1 / (1 - alpha)).clamp(max=self.weight_cap)[:, None, None, None, None]
        weight = windows.weight / windows.weight.mean() * by_timestep * self.channel_weights
        loss: Tensor = ((prediction.float() - windows.latents).square() * weight).mean()
        return loss
