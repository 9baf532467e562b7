"""What the diffusion model's prediction is judged by: noisy latents in, the weighted error of the clean ones out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lipstream_models.device.precision import autocast

from ..data.training_windows import WindowOptions, Windows


@dataclass(frozen=True)
class DiffusionTraining:
    """frames_per_step: how many frames a worker sees in a step; windows of each length in ``window_frames`` take turns.

    Two steps in three show ``crop`` x ``crop`` tokens around the mouth, of twice as many frames: a fourth of the work for each
    frame, and all that there is to learn about lips. The networks have no notion of place, so they do the same on whole pictures,
    which the third step keeps them used to.
    """

    steps: int = 20000
    frames_per_step: int = 24
    window_frames: tuple[int, ...] = (4, 8, 4, 16, 4, 12, 8)
    crop: int = 8
    learning_rate: float = 2e-3
    warmup: int = 60
    unconditional_share: float = 0.1
    timestep_shift: float = 4.0
    weight_cap: float = 3.0
    average_decay: float = 0.995
    log_every: int = 20
    check_every: int = 200
    save_every: int = 50
    windows: WindowOptions = field(default_factory=WindowOptions)


def diffuse(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """Noisy latents; alpha (B,) is the cumulative product at each row's timestep."""
    signal, sigma = (x.sqrt()[:, None, None, None, None] for x in (alpha, 1 - alpha))
    return signal * clean + sigma * noise


def sample_timesteps(rows: int, count: int, shift: float, generator: torch.Generator) -> Tensor:
    """(rows,) of ``count`` timesteps, most of them noisy ones: uniform t becomes s t / (1 + (s - 1) t) (Esser et al. 2024, eq. 23).

    Latents of many channels show through much noise, and a model that can see what is there does not listen: only where noise
    hides nearly everything does it learn from the sound and the motion frames.
    """
    # One from each of the equal slices: every batch sees the whole range, which steadies the loss.
    device = generator.device
    t = (torch.arange(rows, device=device) + torch.rand(rows, generator=generator, device=device)) / rows
    shifted = shift * t / (1 + (shift - 1) * t)
    timesteps: Tensor = (shifted * count).long().clamp(max=count - 1)
    return timesteps[torch.randperm(rows, generator=generator, device=device)]


def step_loss(
    trainee: Callable[..., Tensor],
    windows: Windows,
    alphas: Tensor,
    unconditional: int,
    generator: torch.Generator,
    options: DiffusionTraining,
    channel_weights: Tensor,
) -> Tensor:
    """Mean squared error of the clean latents, weighted over the picture and the channels, and over timesteps as in Min-SNR
    (Hang et al. 2023). ``alphas`` and ``generator`` are of the windows' device.

    Seen as an error of v, which is what all timesteps are weighted alike by, it is 1 / (1 - alpha) times as heavy. Held to
    ``weight_cap``, that keeps the nearly clean timesteps, which only copy what they are given, from taking most of the gradient.
    """
    timestep = sample_timesteps(len(windows.latents), len(alphas), options.timestep_shift, generator)
    noise = torch.randn(windows.latents.shape, generator=generator, device=generator.device)
    alpha = alphas[timestep]
    noisy = diffuse(windows.latents, noise, alpha)
    with autocast(generator.device):
        prediction = trainee(windows, noisy, timestep, unconditional)
    importance = (1 / (1 - alpha)).clamp(max=options.weight_cap)
    weight = windows.weight / windows.weight.mean() * importance[:, None, None, None, None] * channel_weights
    loss: Tensor = ((prediction.float() - windows.latents).square() * weight).mean()
    return loss
