"""Mouth inpainting: draws the inside of the mouth, which a portrait need not show.

Between the lips there are teeth above and below, and flesh between the teeth. Edges of lips and teeth are sharp and a
few pixels apart; a mean of frames would blur them. The distance to an edge is smooth, so its mean is a distance again:
one value for every 4 x 4 pixels places the edge to a fraction of a pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELL_PX = 4
"""Pixels along each side of a cell; fields have one value for each cell."""
MAX_EDGE_DISTANCE_PX = 8.0
"""Distances to edges saturate at this many pixels."""
LIP_CLOSURE_BIAS_PX = 0.5
"""Pixels by which lips are moved towards each other: lips that may be closed are predicted slightly open."""
MARGIN_CELLS = 2
"""Cells around open lips that are interpolated too."""


def paint_mouth(frames: Tensor, fields: Tensor) -> None:
    """Draw the inside of the mouth over frames (N, 3, 4h, 4w) in [-1, 1], in place.

    Args:
        frames: frames to draw on.
        fields: (N, 10, h, w): distances in pixels to the edges of upper and lower lip, above `MAX_EDGE_DISTANCE_PX`
            between the lips; distances to the edges of upper and lower teeth, above 0 between them; colours of flesh
            and teeth.
    """
    box = _open_mouth_box(fields[:, :2])
    if box is None:
        return
    rows, columns = box
    crop = F.interpolate(
        fields[:, :, rows, columns], scale_factor=CELL_PX, mode="bilinear", align_corners=False
    )
    lips, teeth, flesh_colour, teeth_colour = crop.split((2, 2, 3, 3), dim=1)
    inside = torch.lerp(teeth_colour, flesh_colour, _coverage(teeth))
    frames[:, :, _to_pixels(rows), _to_pixels(columns)].lerp_(
        inside, _coverage(lips - (MAX_EDGE_DISTANCE_PX + LIP_CLOSURE_BIAS_PX))
    )


def _coverage(distances: Tensor) -> Tensor:
    """Return the share of each pixel between two edges (N, 1, H, W), from its distances behind them (N, 2, H, W)."""
    return (distances.amin(dim=1, keepdim=True) + 0.5).clamp(0, 1)


def _open_mouth_box(lips: Tensor) -> tuple[slice, slice] | None:
    """Return rows and columns of cells with an open mouth in any frame, with a margin; lip distances (N, 2, h, w)."""
    is_open = (lips > MAX_EDGE_DISTANCE_PX - CELL_PX).all(dim=1).any(dim=0)
    rows, columns = (is_open.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    if not rows:
        return None
    return _with_margin(rows), _with_margin(columns)


def _with_margin(indices: list[int]) -> slice:
    return slice(max(0, indices[0] - MARGIN_CELLS), indices[-1] + 1 + MARGIN_CELLS)


def _to_pixels(cells: slice) -> slice:
    return slice(cells.start * CELL_PX, cells.stop * CELL_PX)
