"""Fields that describe the inside of a rendered mouth: distances to its edges, and its colours.

`lipstream_models.warping.mouth_inpainting` paints a mouth from them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lipstream_models.autoencoders.patch_autoencoder import FACTOR
from lipstream_models.warping.flow_warp import CELLS_PER_TOKEN
from lipstream_models.warping.mouth_inpainting import CELL_PX, MAX_EDGE_DISTANCE_PX

from ..rendering.surfaces import FLESH, TEETH

Floats = NDArray[np.float32]

DARK = 0.8
"""Pixels at the edge of a lower lip that count as inside: there a portrait has the dark line between closed lips."""
SMOOTHING = 0.8
"""Standard deviation, in cells, over which a colour is averaged."""
FAINT = 0.005
"""Share of cells around a token with a colour at which that colour and the mean colour have equal weights."""


def edge_distances(outlines: Floats, mouth_box: Floats) -> Floats:
    """Return the signed distances (T, S, S, 4) in pixels of each cell's centre from the edges of lips and teeth.

    They are limited to `MAX_EDGE_DISTANCE_PX`. Distances from the lips are larger by that limit, so that 0, their value
    far from the mouth, means outside.

    Args:
        outlines: (T, 4, S), see `HeadRenderer.outlines`.
        mouth_box: (T, 4) left, top, right, bottom of the lips in pixels.
    """
    centres = (np.arange(outlines.shape[-1], dtype=np.float32) + 0.5) * CELL_PX
    below = centres[:, None] - outlines[:, :, None, :]  # (T, 4, S, S)
    below[:, 1] -= DARK
    distances = MAX_EDGE_DISTANCE_PX * np.tanh(
        below * np.array([1, -1, 1, -1])[:, None, None] / MAX_EDGE_DISTANCE_PX
    )
    distances[:, :2] += MAX_EDGE_DISTANCE_PX
    left, top, right, bottom = (mouth_box[:, i, None] for i in range(4))
    across, down = (
        np.maximum(np.maximum(low - centres, centres - high), 0)
        for low, high in ((left, right), (top, bottom))
    )
    near = np.clip(1 - np.hypot(across[:, None, :], down[:, :, None]) / FACTOR, 0, 1)
    return np.asarray(np.moveaxis(distances * near[:, None], 1, -1), np.float32)


def mouth_colours(frames: NDArray[np.uint8], inside: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return the colours of flesh and teeth around each token, and how much of the surroundings shows them.

    Args:
        frames: (T, H, W, 3).
        inside: (T, S, S) surface of each cell.

    Returns:
        RgbToYuvConverter (T, h, w, 2, 3) in [-1, 1], and shares (T, h, w, 2) of the cells in [0, 1].
    """
    middle = CELL_PX // 2 - 1
    corners = [
        frames[:, middle + i :: CELL_PX, middle + j :: CELL_PX].astype(np.float32)
        for i in (0, 1)
        for j in (0, 1)
    ]
    colour = np.mean(corners, axis=0) / 127.5 - 1
    surfaces = np.stack([inside == FLESH, inside == TEETH], axis=-1).astype(np.float32)
    shares = _token_means(surfaces)
    colours = _token_means(surfaces[..., None] * colour[..., None, :]) / (shares[..., None] + 1e-6)
    return colours, shares


def _token_means(cells: Floats) -> Floats:
    """Return the smoothed means (T, h, w, ...) over each token's cells (T, S, S, ...)."""
    smooth = gaussian_filter(cells, SMOOTHING, mode="constant", axes=(1, 2))
    frames, rows, columns, *rest = smooth.shape
    tokens = smooth.reshape(
        frames, rows // CELLS_PER_TOKEN, CELLS_PER_TOKEN, columns // CELLS_PER_TOKEN, CELLS_PER_TOKEN, *rest
    )
    return np.asarray(tokens.mean(axis=(2, 4)), np.float32)


def colour_offsets(colours: Floats, shares: Floats, mean: Floats) -> Floats:
    """Return the differences (T, h, w, 6) of colours from their means, smaller where little of a colour is visible.

    Args:
        colours: (T, h, w, 2, 3), see `mouth_colours`.
        shares: (T, h, w, 2), see `mouth_colours`.
        mean: (6,) mean colours of flesh and teeth.
    """
    weight = (shares / (shares + FAINT))[..., None]
    offsets = (colours - mean.reshape(2, 3)) * weight
    return np.asarray(offsets.reshape(*offsets.shape[:3], 6), np.float32)
