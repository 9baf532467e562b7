"""Flow matching: the latents lie on a line between clean latents and noise, the network predicts its direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FlowMatchSchedule:
    """Euler steps for a velocity v = noise - clean at latents (1 - sigma) clean + sigma noise.

    sigmas: one a step, falling, and the one that the last step arrives at. train: what a timestep of sigma 1 is.
    """

    sigmas: tuple[float, ...]
    train: int = 1000

    @classmethod
    def linear(cls, steps: int, train: int = 1000, shift: float = 1.0) -> FlowMatchSchedule:
        """Evenly spaced from sigma 1 to 1/train, then 0: diffusers' FlowMatchEulerDiscreteScheduler, with shift 1 MEMO's.

        shift: above 1, more of the steps are spent on noisy latents.
        """
        if not 1 <= steps <= train:
            raise ValueError(f"sampling steps must be between 1 and {train}, got {steps}")
        if shift <= 0:
            raise ValueError(f"shift must be above 0, got {shift}")
        # As in diffusers, the ends are shifted once and then, with all steps between them, again.
        last = _shifted(1 / train, shift)
        distance = (1 - last) / max(steps - 1, 1)
        return cls((*(_shifted(1 - i * distance, shift) for i in range(steps)), 0.0), train)

    @property
    def timesteps(self) -> Sequence[float]:
        return tuple(sigma * self.train for sigma in self.sigmas[:-1])

    def step(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """One Euler step along the predicted velocity."""
        return latents + (self.sigmas[index + 1] - self.sigmas[index]) * prediction

    def direction(self, index: int, latents: Tensor, prediction: Tensor) -> Tensor:
        """The velocity itself."""
        return prediction

    def roll(self, index: int, latents: Tensor, direction: Tensor) -> Tensor:
        """Straight on: a step with the velocity that was held."""
        return self.step(index, latents, direction)


def _shifted(sigma: float, shift: float) -> float:
    return shift * sigma / (1 + (shift - 1) * sigma)
