"""Residual blocks and resampling on images."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GroupNorm(nn.GroupNorm):
    """Group normalisation that keeps fp32 accuracy for channels-last images on the CPU.

    That kernel takes the variance as E[x^2] - E[x]^2, which loses half of the digits when a mean is large (3e-4 on Hallo's reference
    features); a group norm does not see a shift of the whole group, so subtracting the group's mean first costs nothing but time.
    Half precision is summed in fp32 there, so its own rounding is larger and nothing is done.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype is torch.float32 and x.device.type == "cpu":
            means = x.mean((2, 3)).unflatten(1, (self.num_groups, -1)).mean(2)
            x = x - means.repeat_interleave(self.num_channels // self.num_groups, dim=1)[:, :, None, None]
        return super().forward(x)


class Resnet(nn.Module):
    """GroupNorm-SiLU-conv, time, GroupNorm-SiLU-conv, with a 1x1 shortcut where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, in_channels, eps=1e-5)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, out_channels)
        self.norm2 = GroupNorm(groups, out_channels, eps=1e-5)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (images, C, h, w); time: (1 or rows, T) activated time embedding, rows dividing images."""
        shift = self.time_emb_proj(time)
        if shift.shape[0] > 1:
            shift = shift.repeat_interleave(x.shape[0] // shift.shape[0], dim=0)
        h = self.conv1(F.silu(self.norm1(x))) + shift[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        shortcut: Tensor = x if self.conv_shortcut is None else self.conv_shortcut(x)
        return shortcut + h


class Downsample(nn.Module):
    """Strided 3x3 convolution, half the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class Upsample(nn.Module):
    """Nearest neighbour to twice the size, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return result


def to_tokens(x: Tensor) -> Tensor:
    """(images, C, h, w) -> (images, h*w, C); free of copies for channels-last images."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_images(tokens: Tensor, height: int, width: int) -> Tensor:
    """(images, h*w, C) -> (images, C, h, w), channels last."""
    return tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def spread_rows(x: Tensor, rows: int) -> Tensor:
    """(r, ...) -> (r, rows/r, ...): each row seen rows/r times, as a view."""
    return x[:, None].expand(-1, rows // x.shape[0], *x.shape[1:])


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
