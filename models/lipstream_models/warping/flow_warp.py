"""Flow warping: frames as the portrait's own pixels, moved along a flow that a few channels of each token encode.

Most of what a talking head shows is in the portrait already, only elsewhere. Warping (first-order motion model) keeps
it as sharp as it is there. A flow predicted as the mean of several possible motions blurs nothing; a mean of frames
would be blurred. The portrait need not show the inside of the mouth: further channels encode edges of lips and teeth
and their colours (`mouth_inpainting.paint_mouth`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..autoencoders.patch_autoencoder import FACTOR
from .mouth_inpainting import CELL_PX, paint_mouth

CELLS_PER_TOKEN = FACTOR // CELL_PX
CELL_CHANNELS = (2, 2, 2)
"""Values of a cell: flow in pixels (right, down), distances to lip edges, distances to teeth edges (`paint_mouth`)."""
COLOUR_CHANNELS = 6
"""Values of a token: colours of flesh and teeth in [-1, 1], relative to their means."""
FIELDS_PER_TOKEN = sum(CELL_CHANNELS) * CELLS_PER_TOKEN**2 + COLOUR_CHANNELS


class FlowWarp(nn.Module):
    """Linear decoding of flow channels to fields, and the frames that the fields describe.

    Buffers: ``basis`` (K, FIELDS_PER_TOKEN), fields of each of K flow channels; ``inside`` (COLOUR_CHANNELS,), mean
    colours of flesh and teeth.
    """

    basis: Tensor
    inside: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(channels, FIELDS_PER_TOKEN))
        self.register_buffer("inside", torch.zeros(COLOUR_CHANNELS))

    @staticmethod
    def denoise_residual(difference: Tensor, floor: float) -> Tensor:
        """Shrink the residual to the warped portrait (N, C, h, w) by a positive-part James-Stein estimator.

        A token with mean square q is scaled by max(0, 1 - floor / q), averaged over its 3 x 3 neighbourhood to avoid
        edges. Nearly all tokens of a frame equal the warped portrait; a residual there is noise of the network, which
        would show as streaks on smooth skin.
        """
        energy = difference.float().square().mean(dim=1, keepdim=True)
        share = 1 - floor / energy.clamp(min=floor + 1e-12)
        share = F.avg_pool2d(share, 3, stride=1, padding=1, count_include_pad=False)
        return difference * share.to(difference.dtype)

    def fields(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Flow channels (N, K, h, w) -> flow (N, 2, 4h, 4w) and mouth fields (N, 10, 4h, 4w) for `paint_mouth`."""
        # Not channels last: PyTorch interpolates that layout more slowly.
        tokens = F.conv2d(channels.float().contiguous(), self.basis.T[:, :, None, None])
        cells, colours = tokens.split((FIELDS_PER_TOKEN - COLOUR_CHANNELS, COLOUR_CHANNELS), dim=1)
        flow, mouth = F.pixel_shuffle(cells, CELLS_PER_TOKEN).split(
            (CELL_CHANNELS[0], sum(CELL_CHANNELS[1:])), dim=1
        )
        colours = F.interpolate(colours, scale_factor=CELLS_PER_TOKEN, mode="bilinear", align_corners=False)
        return flow, torch.cat([mouth, colours + self.inside[:, None, None]], dim=1)

    def forward(self, portrait: Tensor, channels: Tensor) -> Tensor:
        """Portrait (1, 3, H, W) and flow channels (N, K, H/16, W/16) -> N frames (N, 3, H, W)."""
        flow, mouth = self.fields(channels)
        frames = warp_portrait(portrait.float(), flow)
        paint_mouth(frames, mouth)
        return frames.to(portrait.dtype)


def warp_portrait(portrait: Tensor, flow: Tensor) -> Tensor:
    """Sample a portrait (1, 3, H, W) at each pixel plus the flow in pixels (N, 2, H/4, W/4) -> (N, 3, H, W)."""
    field = F.interpolate(flow, scale_factor=CELL_PX, mode="bilinear", align_corners=False)
    height, width = field.shape[-2:]
    y = torch.arange(height, device=field.device).add(0.5)
    x = torch.arange(width, device=field.device).add(0.5)
    positions = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    size = torch.tensor([width, height], device=field.device)[:, None, None]
    grid = ((field + positions) * (2 / size) - 1).permute(0, 2, 3, 1)
    return F.grid_sample(
        portrait.expand(len(flow), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )
