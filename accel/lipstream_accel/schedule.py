"""DDIM arithmetic for v-prediction: which timesteps a sampler visits and what one step does to the latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class DDIMSchedule:
    """The steps of one sampling run, first (noisiest) to last.

    alphas[i] is the cumulative product of 1 - beta at timesteps[i], alphas_after[i] the one that step i arrives at.
    Plain floats, so that no step asks the device for a value.
    """

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]
    alphas_after: tuple[float, ...]

    @classmethod
    def trailing(cls, alphas_cumprod: Sequence[float], steps: int) -> DDIMSchedule:
        """Trailing spacing as in Hallo (and diffusers' DDIMScheduler): the first step is the last training timestep.

        A step goes down by the whole part of ``train / steps`` even where the spacing is not a whole number: that is what
        diffusers does, and checkpoints are sampled with it.
        """
        train = len(alphas_cumprod)
        if not 1 <= steps <= train:
            raise ValueError(f"sampling steps must be between 1 and {train}, got {steps}")
        # The distance as numpy.arange takes it, from its first two values: halves then round as they do in diffusers.
        distance = (train - train / steps) - train
        timesteps = tuple(round(train + i * distance) - 1 for i in range(steps))
        before = [t - train // steps for t in timesteps]
        return cls(
            timesteps,
            tuple(float(alphas_cumprod[t]) for t in timesteps),
            tuple(float(alphas_cumprod[t]) if t >= 0 else 1.0 for t in before),
        )

    def step(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Latents after step ``index`` (DDIM, eta 0), given the v that was predicted at its timestep."""
        clean, noise = self.clean_and_noise(index, latents, prediction)
        alpha = self.alphas_after[index]
        after: Tensor = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
        return after

    def clean_and_noise(self, index: int, latents: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """The clean latents and the noise that a v-prediction implies; finite also where alpha is 0."""
        alpha = self.alphas[index]
        clean = alpha**0.5 * latents - (1 - alpha) ** 0.5 * prediction
        noise = alpha**0.5 * prediction + (1 - alpha) ** 0.5 * latents
        return clean, noise
