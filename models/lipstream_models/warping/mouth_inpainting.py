"""The inside of a mouth, which a portrait need not show: between lips, flesh; between flesh and lips, teeth above and below.

Lips and teeth have sharp edges, a few pixels apart, and a mean of pictures has none. The distance to an edge has a mean that is
one; it is smooth enough to be given for every 4 x 4 pixels and yet places the edge to a fraction of a pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 4
"""Pixels a side of a cell, which is what a field has one value for."""
REACH = 8.0
"""Pixels from an edge beyond which it does not matter how far it is."""
SEAL = 0.5
"""Pixels by which lips are taken to be nearer to each other: what is predicted of lips that may be closed is a little open."""
MARGIN = 2
"""Cells around the opened lips that are looked at: what pixels between them and others are made of."""


def paint_mouth(frames: Tensor, fields: Tensor) -> None:
    """Paints the insides of mouths over frames (N, 3, 4h, 4w) in [-1, 1].

    fields (N, 10, h, w): distances in pixels from the edges of the upper and of the lower lip, more than `REACH` between them; from
    the edges of the upper and of the lower teeth, more than 0 between them; colours of flesh and of teeth.
    """
    box = _open_box(fields[:, :2])
    if box is None:
        return
    rows, columns = box
    near = F.interpolate(fields[:, :, rows, columns], scale_factor=CELL, mode="bilinear", align_corners=False)
    lips, teeth, flesh_colour, teeth_colour = near.split((2, 2, 3, 3), dim=1)
    inside = torch.lerp(teeth_colour, flesh_colour, _between(teeth))
    frames[:, :, _pixels(rows), _pixels(columns)].lerp_(inside, _between(lips - (REACH + SEAL)))


def _between(distances: Tensor) -> Tensor:
    """How much of each pixel (N, 1, H, W) lies between two edges, of how far it lies behind each (N, 2, H, W)."""
    return (distances.amin(dim=1, keepdim=True) + 0.5).clamp(0, 1)


def _open_box(lips: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns of the cells (N, 2, h, w) that may show the inside in any of the frames, and some around them."""
    shown = (lips > REACH - CELL).all(dim=1).any(dim=0)
    rows, columns = (shown.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
    if not rows:
        return None
    return _around(rows), _around(columns)


def _around(places: list[int]) -> slice:
    return slice(max(0, places[0] - MARGIN), places[-1] + 1 + MARGIN)


def _pixels(cells: slice) -> slice:
    return slice(cells.start * CELL, cells.stop * CELL)
