"""Flow matching schedule: Euler steps along a predicted velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FlowMatchSchedule:
    """Euler steps for a velocity v = noise - clean at latents (1 - sigma) clean + sigma noise.

    Attributes:
        sigmas: decreasing noise levels, one for each step, followed by the level after the last step.
        train: timestep of sigma 1.
    """

    sigmas: tuple[float, ...]
    train: int = 1000

    @classmethod
    def linear(cls, steps: int, train: int = 1000, shift: float = 1.0) -> FlowMatchSchedule:
        """Return evenly spaced sigmas from 1 to 1/train, then 0.

        Equals diffusers' FlowMatchEulerDiscreteScheduler, and with shift 1 the schedule of MEMO. A shift above 1
        spends more of the steps on noisy latents.
        """
        if not 1 <= steps <= train:
            raise ValueError(f"sampling steps must be between 1 and {train}, got {steps}")
        if shift <= 0:
            raise ValueError(f"shift must be above 0, got {shift}")
        # As in diffusers: the end points are shifted once, and then again with all steps between them.
        last = _shift_sigma(1 / train, shift)
        distance = (1 - last) / max(steps - 1, 1)
        return cls((*(_shift_sigma(1 - i * distance, shift) for i in range(steps)), 0.0), train)

    @property
    def timesteps(self) -> Sequence[float]:
        """Timestep of each step."""
        return tuple(sigma * self.train for sigma in self.sigmas[:-1])

    def step(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Return latents (B, ...) after one Euler step along the predicted velocity (B, ...)."""
        return latents + (self.sigmas[index + 1] - self.sigmas[index]) * prediction

    def direction(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """Return the velocity (B, ...), which is the prediction itself."""
        return prediction

    def roll(self, index: int, latents: Tensor, direction: Tensor) -> Tensor:
        """Return latents (B, ...) after a step with the cached velocity (B, ...)."""
        return self.step(index, latents, direction)


def _shift_sigma(sigma: float, shift: float) -> float:
    return shift * sigma / (1 + (shift - 1) * sigma)
