"""Small layers that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupNorm(nn.GroupNorm):
    """Group normalisation that takes images out of the channels-last layout for it on the CPU, and puts them back.

    The kernel for channels last is slow there (2.0 ms for 32 x 64 x 16 x 16 in bfloat16, the other one 0.2), and it takes the
    variance as E[x^2] - E[x]^2, which loses half of the digits when a mean is large (3e-4 on Hallo's reference features).
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.ndim != 4:
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


class PointwiseConv(nn.Conv2d):
    """A 1x1 convolution applied to tokens: same weights (C, C, 1, 1), no change of layout."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self.matrix, self.bias)

    @property
    def matrix(self) -> Tensor:
        """The weights as (out, in)."""
        return self.weight.flatten(1)


def zero_(module: nn.Module) -> None:
    """Start at zero, so that a fresh branch does not disturb the rest of the network."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
