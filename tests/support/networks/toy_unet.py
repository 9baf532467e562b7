"""The smallest denoiser with a cut point; stands for the reader's own UNet in accel/README.md."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ToyKeyStep:
    """Result of `ToyUNet.key_step`."""

    prediction: Tensor
    f_u31: Tensor
    background: None = None

    def last_rows(self, rows: int) -> "ToyKeyStep":
        return ToyKeyStep(self.prediction[-rows:], self.f_u31[-rows:])


class ToyUNet:
    """A trunk that mixes latents, conditions and timestep, and a last layer that mixes its output with the latents."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def trunk(self, z: Tensor, t: Tensor, conditions: Tensor) -> Tensor:
        return torch.tanh(z) + _expand(conditions.mean(-1), z) + _expand(t / 1000, z)

    def last_layer(self, z: Tensor, f_u31: Tensor, t: Tensor) -> Tensor:
        feature = f_u31.repeat_interleave(z.shape[0] // f_u31.shape[0], dim=0)
        return 0.3 * z + 0.1 * feature + _expand(t / 4000, z)

    def whole(self, z: Tensor, t: Tensor, conditions: Tensor) -> Tensor:
        return self.key_step(z, t, conditions).prediction

    def key_step(self, z: Tensor, t: Tensor, conditions: Tensor) -> ToyKeyStep:
        self.calls.append(("key step", z.shape[0]))
        f_u31 = self.trunk(z, t, conditions)
        return ToyKeyStep(self.last_layer(z, f_u31, t), f_u31)

    def head(
        self,
        z: Tensor,
        f_u31: Tensor,
        t: Tensor,
        conditions: Tensor,
        foreground: Tensor | None = None,
        background: None = None,
    ) -> Tensor:
        self.calls.append(("head", z.shape[0]))
        return self.last_layer(z, f_u31, t)


def _expand(values: Tensor, z: Tensor) -> Tensor:
    """Return values (rows,) expanded to the shape of z (rows, ...)."""
    return values.reshape(-1, *[1] * (z.ndim - 1)).expand(z.shape)
