"""Residual blocks and resampling of images."""

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import GroupNorm


class Resnet(nn.Module):
    """GroupNorm, SiLU, convolution, plus time; the same again; with a 1x1 shortcut if the width changes."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = GroupNorm(groups, in_channels, eps=1e-5)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, out_channels)
        self.norm2 = GroupNorm(groups, out_channels, eps=1e-5)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(images, in, h, w) -> (images, out, h, w). ``time``: activated embedding (1|rows, T), rows dividing images."""
        shift = self.time_emb_proj(time)
        if shift.shape[0] > 1:
            shift = shift.repeat_interleave(x.shape[0] // shift.shape[0], dim=0)
        h = self.conv1(F.silu(self.norm1(x))) + shift[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        shortcut: Tensor = x if self.conv_shortcut is None else self.conv_shortcut(x)
        result: Tensor = shortcut + h
        return result


class Downsample(nn.Module):
    """Strided 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h/2, w/2)."""
        result: Tensor = self.conv(x)
        return result


class Upsample(nn.Module):
    """Nearest neighbour interpolation, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, 2h, 2w)."""
        result: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return result
