"""Face locator: an image of the face rectangle becomes a feature that is added after conv_in."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import zero_


class FaceLocator(nn.Module):
    """Strided convolutions with SiLU; the output starts as zero."""

    def __init__(self, channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(channels):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(channels[-1], out_channels, 3, padding=1)
        zero_(self.conv_out)

    def forward(self, region: Tensor) -> Tensor:
        """(images, 3, H, W) in [0, 1] -> (images, out, H/s, W/s) with s = 2 ** (len(channels) - 1)."""
        x = F.silu(self.conv_in(region))
        for block in self.blocks:
            x = F.silu(block(x))
        result: Tensor = self.conv_out(x)
        return result
