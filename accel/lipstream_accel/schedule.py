"""Which timesteps a sampler visits and what one step does to the latents: the protocol, and DDIM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

# What a network predicts, in diffusers' terms: v, or the clean sample itself.
PredictionType = Literal["v_prediction", "sample"]


class Schedule(Protocol):
    """The arithmetic of a sampler, step by step; 0 is the noisiest step. Values are plain numbers, so that no step asks the
    device for one.
    """

    @property
    def timesteps(self) -> Sequence[float]:
        """What the denoiser is told at each step."""
        ...

    def step(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Latents after step ``index``, given what the denoiser predicted there."""
        ...

    def direction(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """What a prediction says about the way ahead, in the form that may be held over later steps: noise for DDIM, velocity
        for flow matching.
        """
        ...

    def roll(self, index: int, latents: Tensor, direction: Tensor) -> Tensor:
        """Latents after step ``index`` if that direction still held there (paper, section 2: input latents estimation)."""
        ...


@dataclass(frozen=True)
class DDIMSchedule:
    """The steps of one sampling run, first (noisiest) to last.

    alphas[i] is the cumulative product of 1 - beta at timesteps[i], alphas_after[i] the one that step i arrives at.
    Plain floats, so that no step asks the device for a value.
    """

    timesteps: tuple[int, ...]
    alphas: tuple[float, ...]
    alphas_after: tuple[float, ...]
    prediction_type: PredictionType = "v_prediction"

    @classmethod
    def trailing(
        cls,
        alphas_cumprod: Sequence[float],
        steps: int,
        prediction_type: PredictionType = "v_prediction",
        last: int = 0,
    ) -> DDIMSchedule:
        """Trailing spacing as in Hallo (and diffusers' DDIMScheduler): the first step is the last training timestep.

        A step goes down by the whole part of ``train / steps`` even where the spacing is not a whole number: that is what
        diffusers does, and checkpoints are sampled with it.

        With ``last`` above 0 the steps are spread over the timesteps from there up, and the last one jumps from its own to
        the clean latents: for a small network, which would take the little noise below for texture.
        """
        train = len(alphas_cumprod)
        span = train - last
        if not 0 <= last < train:
            raise ValueError(f"the last timestep must be between 0 and {train - 1}, got {last}")
        if not 1 <= steps <= span:
            raise ValueError(f"sampling steps must be between 1 and {span}, got {steps}")
        # The distance as numpy.arange takes it, from its first two values: halves then round as they do in diffusers.
        distance = (train - span / steps) - train
        timesteps = tuple(round(train + i * distance) - 1 for i in range(steps))
        before = [t - span // steps for t in timesteps]
        after = [float(alphas_cumprod[t]) if t >= 0 else 1.0 for t in before]
        if last:
            after[-1] = 1.0
        return cls(
            timesteps, tuple(float(alphas_cumprod[t]) for t in timesteps), tuple(after), prediction_type
        )

    def step(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Latents after step ``index`` (DDIM, eta 0), given what was predicted at its timestep."""
        clean, noise = self.clean_and_noise(index, latents, prediction)
        alpha = self.alphas_after[index]
        after: Tensor = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
        return after

    def clean_and_noise(self, index: int, latents: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """The clean latents and the noise that a prediction implies; finite also where alpha is 0."""
        alpha = self.alphas[index]
        if self.prediction_type == "sample":
            return prediction, (latents - alpha**0.5 * prediction) / (1 - alpha) ** 0.5
        clean = alpha**0.5 * latents - (1 - alpha) ** 0.5 * prediction
        noise = alpha**0.5 * prediction + (1 - alpha) ** 0.5 * latents
        return clean, noise

    def direction(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """The noise that a prediction implies."""
        return self.clean_and_noise(index, latents, prediction)[1]

    def roll(self, index: int, latents: Tensor, direction: Tensor) -> Tensor:
        """z' = lambda z + tau eps with the given noise (paper, section 2). Not for a step whose alpha is 0, which only a first
        step has: a key step, never rolled over.
        """
        alpha, after = self.alphas[index], self.alphas_after[index]
        if alpha == 0:
            raise ValueError(f"step {index} starts from pure noise: it can be evaluated, not estimated")
        scale = (after / alpha) ** 0.5
        rolled: Tensor = scale * latents + ((1 - after) ** 0.5 - scale * (1 - alpha) ** 0.5) * direction
        return rolled
