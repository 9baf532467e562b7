"""Moves a portrait's pixels along a flow that is a few channels of each latent token, and paints what it does not show.

What a jaw moves is shown in the portrait already, only elsewhere. Warping the picture (as first-order motion models do, Siarohin
et al. 2019) keeps it as sharp as it is there. Where it goes may then be a mean of what is possible and nothing is blurred for it;
a mean of pictures is blurred. The inside of a mouth is what a portrait need not show: other channels say where lips and
teeth end there, and its colours (`paint_mouth`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..autoencoders.patch_autoencoder import FACTOR
from .mouth_inpainting import CELL, paint_mouth

CELLS = FACTOR // CELL
PLANES = (2, 2, 2)
"""Values of each cell: flow in pixels, right and down; distances to the edges of lips and of teeth, see `paint_mouth`."""
TONES = 6
"""Values of each token: how far the colours of a mouth's flesh and of its teeth, in [-1, 1], are from their means."""
DESCRIBED = sum(PLANES) * CELLS**2 + TONES


class Warp(nn.Module):
    """``basis`` (K, DESCRIBED): what each of a token's K channels stands for; ``inside`` (TONES,): the mean colours."""

    basis: Tensor
    inside: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(channels, DESCRIBED))
        self.register_buffer("inside", torch.zeros(TONES))

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

    def fields(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Channels (N, K, h, w) -> the flow (N, 2, 4h, 4w) and what `paint_mouth` takes (N, 10, 4h, 4w), for each cell."""
        # Not channels last, in which PyTorch interpolates more slowly.
        tokens = F.conv2d(channels.float().contiguous(), self.basis.T[:, :, None, None])
        cells, tones = tokens.split((DESCRIBED - TONES, TONES), dim=1)
        flow, mouth = F.pixel_shuffle(cells, CELLS).split((PLANES[0], sum(PLANES[1:])), dim=1)
        colours = F.interpolate(tones, scale_factor=CELLS, mode="bilinear", align_corners=False)
        return flow, torch.cat([mouth, colours + self.inside[:, None, None]], dim=1)

    def forward(self, portrait: Tensor, channels: Tensor) -> Tensor:
        """Portrait (1, 3, H, W) and channels (N, K, H/16, W/16) -> what N frames show of it (N, 3, H, W)."""
        flow, mouth = self.fields(channels)
        frames = move(portrait.float(), flow)
        paint_mouth(frames, mouth)
        return frames.to(portrait.dtype)


def move(portrait: Tensor, flow: Tensor) -> Tensor:
    """Portrait (1, 3, H, W) with each cell's pixels taken from as far away as the flow (N, 2, H/4, W/4) says: (N, 3, H, W)."""
    field = F.interpolate(flow, scale_factor=CELL, mode="bilinear", align_corners=False)
    height, width = field.shape[-2:]
    y = torch.arange(height, device=field.device).add(0.5)
    x = torch.arange(width, device=field.device).add(0.5)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    size = torch.tensor([width, height], device=field.device)[:, None, None]
    grid = ((field + places) * (2 / size) - 1).permute(0, 2, 3, 1)
    return F.grid_sample(
        portrait.expand(len(flow), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )
