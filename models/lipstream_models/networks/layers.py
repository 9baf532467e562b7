"""Small layers that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupNorm(nn.GroupNorm):
    """Group normalisation that keeps fp32 accuracy for channels-last images on the CPU.

    That kernel takes the variance as E[x^2] - E[x]^2, which loses half of the digits when a mean is large
    (3e-4 on Hallo's reference features); a group norm does not see a shift of the whole group, so
    subtracting the group's mean first costs nothing but time. Half precision is summed in fp32 there, so
    its own rounding is larger and nothing is done.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype is torch.float32 and x.device.type == "cpu":
            means = torch.unflatten(x.mean((2, 3)), 1, (self.num_groups, -1)).mean(2)
            x = x - means.repeat_interleave(self.num_channels // self.num_groups, dim=1)[:, :, None, None]
        return super().forward(x)


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
