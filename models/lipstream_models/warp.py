"""Moves a portrait's pixels along a flow that is a few channels of each latent token.

What a jaw moves is shown in the portrait already, only elsewhere. Warping the picture (as first-order motion models do, Siarohin
et al. 2019) keeps it as sharp as it is there. Where it goes may then be a mean of what is possible and nothing is blurred for it;
a mean of pictures is blurred. The inside of a mouth is what a portrait need not show: a share says where it is, and there nothing
is left of the portrait.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import FACTOR

CELL = 4
"""Pixels a side of what one vector of the flow is given for."""
CELLS = FACTOR // CELL
EDGE = 2.0
"""How much steeper the edge of a mouth's inside is than between one cell and the next."""


class Warp(nn.Module):
    """``basis`` (K, 3 CELLS^2): what each of a token's K flow channels stands for, its cells' flow in pixels, right and down, and
    share of a mouth's inside; ``inside`` (3,): the colour of that, in [-1, 1].
    """

    basis: Tensor
    inside: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(channels, 3 * CELLS**2))
        self.register_buffer("inside", torch.zeros(3))

    @staticmethod
    def kept(difference: Tensor, floor: float) -> Tensor:
        """What counts of how far tokens (N, C, h, w) are from the warped portrait's: a token whose mean square is q counts
        1 - floor / q, and not at all below the floor (the positive part of James and Stein's estimate, 1961), on average over a
        token and those around it, so that none ends at an edge.

        Nearly all tokens of a frame show the portrait and nothing else, and there a difference is the network's noise, to be seen
        as streaks on smooth skin.
        """
        energy = difference.float().square().mean(dim=1, keepdim=True)
        share = 1 - floor / energy.clamp(min=floor + 1e-12)
        share = F.avg_pool2d(share, 3, stride=1, padding=1, count_include_pad=False)
        return difference * share.to(difference.dtype)

    def field(self, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Flow channels (N, K, h, w) -> (N, 2, 16h, 16w), pixels right and down from each place of a frame to the place of the
        portrait that it shows, and (N, 1, 16h, 16w) in [0, 1], how much of it is a mouth's inside.
        """
        # Neither channels last nor in one: PyTorch takes twice as long to interpolate three channels as two and one.
        cells = F.conv2d(flow.float().contiguous(), self.basis.T[:, :, None, None])
        field, share = (
            F.interpolate(part, scale_factor=CELL, mode="bilinear", align_corners=False)
            for part in F.pixel_shuffle(cells, CELLS).split([2, 1], dim=1)
        )
        return field, ((share - 0.5) * EDGE + 0.5).clamp(0, 1)

    def forward(self, portrait: Tensor, flow: Tensor) -> Tensor:
        """Portrait (1, 3, H, W) and flow channels (N, K, H/16, W/16) -> what N frames show of it (N, 3, H, W)."""
        field, share = self.field(flow)
        height, width = field.shape[-2:]
        y = torch.arange(height, device=field.device).add(0.5)
        x = torch.arange(width, device=field.device).add(0.5)
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"))
        size = torch.tensor([width, height], device=field.device)[:, None, None]
        grid = ((field + places) * (2 / size) - 1).permute(0, 2, 3, 1)
        moved = F.grid_sample(
            portrait.float().expand(len(flow), -1, -1, -1), grid, padding_mode="border", align_corners=False
        )
        return torch.lerp(moved, self.inside[:, None, None].expand_as(moved), share).to(portrait.dtype)
