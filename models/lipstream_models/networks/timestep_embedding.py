"""Timestep embedding: sinusoids through a two-layer perceptron, as in SD-1.5 (cosine half first, no frequency shift)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def sinusoids(timesteps: Tensor, channels: int) -> Tensor:
    """Timesteps (rows,) -> (rows, channels) float32."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps.to(torch.float32)[:, None] * torch.exp(-math.log(10000.0) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepEmbedding(nn.Module):
    """Embeds timesteps. Includes the SiLU at the start of every resnet's time branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, 4 * channels)
        self.linear_2 = nn.Linear(4 * channels, 4 * channels)

    def forward(self, timesteps: Tensor) -> Tensor:
        """Timesteps (rows,) -> (rows, 4*channels)."""
        waves = sinusoids(timesteps, self.channels).to(self.linear_1.weight.dtype)
        return F.silu(self.linear_2(F.silu(self.linear_1(waves))))
