"""Layers that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupNorm(nn.GroupNorm):
    """Group normalisation that runs in the contiguous layout on a CPU, and returns channels last.

    The CPU kernel for channels last is slow (2.0 ms for 32 x 64 x 16 x 16 in bfloat16, against 0.2), and computes the
    variance as E[x^2] - E[x]^2, which loses half of the digits for a large mean (3e-4 on Hallo's reference features).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> (N, C, ...)."""
        if x.device.type != "cpu" or x.ndim != 4:
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution applied to tokens: weights (out, in, 1, 1) as in Hallo, without a change of layout."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return F.linear(tokens, self.matrix, self.bias)

    @property
    def matrix(self) -> Tensor:
        """Weights as (out, in)."""
        return self.weight.flatten(1)


def zero_(module: nn.Module) -> None:
    """Set all parameters to zero, so that a new branch does not change the rest of the network."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
