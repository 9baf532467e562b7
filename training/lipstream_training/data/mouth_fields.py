"""The inside of a rendered mouth: how far edges are, and its colours (`lipstream_models.warping.mouth_inpainting`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lipstream_models.autoencoders.patch_autoencoder import FACTOR
from lipstream_models.warping.flow_warp import CELLS_PER_TOKEN
from lipstream_models.warping.mouth_inpainting import CELL_PX, MAX_EDGE_DISTANCE_PX

from .dataset import FLESH, TEETH

Floats = NDArray[np.float32]

DARK = 0.8
"""Pixels at the edge of a lower lip that count as inside: the portrait shows there the dark line between its closed lips."""
SPREAD = 0.8
"""Cells that a colour counts for around where it is seen."""
FAINT = 0.005
"""Share of cells that show a colour, around a token, where it counts half and its mean the other half."""


def edge_distances(outlines: Floats, mouth_box: Floats) -> Floats:
    """Outlines (T, 4, S), see `HeadRenderer.outlines`, and boxes (T, 4) around lips, in pixels -> how far behind each of the four
    edges a cell's middle is (T, S, S, 4), by `MAX_EDGE_DISTANCE_PX` more
    behind lips, so that 0, which is what there is far from them, is outside.
    """
    middles = (np.arange(outlines.shape[-1], dtype=np.float32) + 0.5) * CELL_PX
    below = middles[:, None] - outlines[:, :, None, :]  # (T, 4, S, S)
    below[:, 1] -= DARK
    distances = MAX_EDGE_DISTANCE_PX * np.tanh(
        below * np.array([1, -1, 1, -1])[:, None, None] / MAX_EDGE_DISTANCE_PX
    )
    distances[:, :2] += MAX_EDGE_DISTANCE_PX
    left, top, right, bottom = (mouth_box[:, i, None] for i in range(4))
    across, down = (
        np.maximum(np.maximum(low - middles, middles - high), 0)
        for low, high in ((left, right), (top, bottom))
    )
    near = np.clip(1 - np.hypot(across[:, None, :], down[:, :, None]) / FACTOR, 0, 1)
    return np.asarray(np.moveaxis(distances * near[:, None], 1, -1), np.float32)


def seen_colours(frames: NDArray[np.uint8], inside: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Frames (T, H, W, 3) and what cells show (T, S, S) -> for each token the colours of flesh and teeth around it, (T, h, w, 2, 3)
    in [-1, 1], and how many of the cells around it show them, (T, h, w, 2).
    """
    middle = CELL_PX // 2 - 1
    corners = [
        frames[:, middle + i :: CELL_PX, middle + j :: CELL_PX].astype(np.float32)
        for i in (0, 1)
        for j in (0, 1)
    ]
    colour = np.mean(corners, axis=0) / 127.5 - 1
    kinds = np.stack([inside == FLESH, inside == TEETH], axis=-1).astype(np.float32)
    seen = _around(kinds)
    colours = _around(kinds[..., None] * colour[..., None, :]) / (seen[..., None] + 1e-6)
    return colours, seen


def _around(cells: Floats) -> Floats:
    """(T, S, S, ...) -> (T, h, w, ...): smoothed, and the mean of each token's cells."""
    smooth = gaussian_filter(cells, SPREAD, mode="constant", axes=(1, 2))
    frames, rows, columns, *rest = smooth.shape
    tokens = smooth.reshape(
        frames, rows // CELLS_PER_TOKEN, CELLS_PER_TOKEN, columns // CELLS_PER_TOKEN, CELLS_PER_TOKEN, *rest
    )
    return np.asarray(tokens.mean(axis=(2, 4)), np.float32)


def tones(colours: Floats, seen: Floats, mean: Floats) -> Floats:
    """How far colours (T, h, w, 2, 3) are from their mean (6,), (T, h, w, 6): less where little of them is to be seen."""
    weight = (seen / (seen + FAINT))[..., None]
    away = (colours - mean.reshape(2, 3)) * weight
    return np.asarray(away.reshape(*away.shape[:3], 6), np.float32)
