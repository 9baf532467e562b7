"""Schedules: the timesteps of a sampler and the arithmetic of one step. Protocol, and DDIM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

# Prediction target of the network, in diffusers' terms: v, or the clean sample.
PredictionType = Literal["v_prediction", "sample"]


class Schedule(Protocol):
    """Arithmetic of a sampler, step by step. Step 0 is the noisiest.

    Coefficients are plain Python numbers, so that no step reads a value back from the device. Latents, predictions
    and directions share one shape (B, ...).
    """

    @property
    def timesteps(self) -> Sequence[float]:
        """Timestep that the denoiser gets at each step."""
        ...

    def step(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Return the latents after step ``index``, given the prediction at it."""
        ...

    def direction(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Return the part of a prediction that later steps may reuse: noise for DDIM, velocity for flow matching."""
        ...

    def roll(self, index: int, latents: Tensor, direction: Tensor) -> Tensor:
        """Return the latents after step ``index`` with a cached direction (LightningCP, input latents estimation)."""
        ...


@dataclass(frozen=True)
class DDIMSchedule:
    """DDIM steps (eta 0) of one sampling run, noisiest first.

    Attributes:
        timesteps: training timestep of each step.
        alphas: cumulative product of 1 - beta at each timestep.
        alphas_after: the same at the level that each step arrives at.
        prediction_type: prediction target of the network.
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
        """Return a schedule with trailing spacing, as in Hallo and diffusers' DDIMScheduler.

        The first step is at the last training timestep. A step goes down by the whole part of ``train / steps`` even
        where the spacing is fractional, because diffusers does so and checkpoints are sampled with it.

        Args:
            alphas_cumprod: cumulative product of 1 - beta for each training timestep.
            steps: number of sampling steps.
            prediction_type: prediction target of the network.
            last: lowest timestep. Above 0, steps are spaced over the timesteps from it up, and the last step goes
                to the clean latents: a small network would take the little noise below that level for texture.
        """
        train = len(alphas_cumprod)
        span = train - last
        if not 0 <= last < train:
            raise ValueError(f"the last timestep must be between 0 and {train - 1}, got {last}")
        if not 1 <= steps <= span:
            raise ValueError(f"sampling steps must be between 1 and {span}, got {steps}")
        # The same distance as in numpy.arange (from its first two values), so that halves round as in diffusers.
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
        """Return latents (B, ...) after step ``index``, given latents and prediction (B, ...) at it."""
        clean, noise = self.clean_and_noise(index, latents, prediction)
        alpha = self.alphas_after[index]
        after: Tensor = alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise
        return after

    def clean_and_noise(self, index: int, latents: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean latents and the noise (B, ...) that a prediction implies; finite also where alpha is 0."""
        alpha = self.alphas[index]
        if self.prediction_type == "sample":
            return prediction, (latents - alpha**0.5 * prediction) / (1 - alpha) ** 0.5
        clean = alpha**0.5 * latents - (1 - alpha) ** 0.5 * prediction
        noise = alpha**0.5 * prediction + (1 - alpha) ** 0.5 * latents
        return clean, noise

    def direction(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Return the noise (B, ...) that a prediction implies."""
        return self.clean_and_noise(index, latents, prediction)[1]

    def roll(self, index: int, latents: Tensor, direction: Tensor) -> Tensor:
        """Return z' = lambda z + tau eps with the given noise eps (LightningCP section 2); all (B, ...).

        Raises ValueError for a step whose alpha is 0. Only a first step has it, which is always a key step.
        """
        alpha, after = self.alphas[index], self.alphas_after[index]
        if alpha == 0:
            raise ValueError(
                f"step {index} starts from pure noise: its latents can be evaluated but not estimated"
            )
        scale = (after / alpha) ** 0.5
        rolled: Tensor = scale * latents + ((1 - after) ** 0.5 - scale * (1 - alpha) ** 0.5) * direction
        return rolled
