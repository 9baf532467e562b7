"""How a frame differs from its portrait as a few components a token: what `lipstream_models.warping.flow_warp` turns back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter
from torch import Tensor

from lipstream_models.warping.flow_warp import (
    CELL_CHANNELS,
    CELLS_PER_TOKEN,
    COLOUR_CHANNELS,
    FIELDS_PER_TOKEN,
    FlowWarp,
)

from ..autoencoder.principal_components import patches_within
from ..bundled_config import FLOW_CHANNELS
from .dataset import Clip
from .mouth_fields import edge_distances, seen_colours, tones

Floats = NDArray[np.float32]
Chosen = slice | list[int]
ALL = slice(None)

FACE_WEIGHT = 4.0
MOUTH_WEIGHT = 40.0
ROUNDS = 60
"""Of smoothing where the flow is not known; a mouth is some ten cells wide."""


@dataclass(frozen=True)
class Mouths:
    """What the mouths of N frames show, whatever the portrait: edges (N, S, S, 4), see `edge_distances`; colours (N, h, w, 2, 3)
    and seen (N, h, w, 2), see `seen_colours`.
    """

    edges: Floats
    colours: Floats
    seen: Floats

    def tokens(self, flow: Floats, inside: Tensor) -> Tensor:
        """(N, FIELDS_PER_TOKEN, h, w), ordered as `FlowWarp.basis`; flow (N, S, S, 2) to a portrait; inside
        (COLOUR_CHANNELS,): the mean colours."""
        cells = F.pixel_unshuffle(
            _channels_first(np.concatenate([flow, self.edges], axis=-1)), CELLS_PER_TOKEN
        )
        return torch.cat([cells, _channels_first(tones(self.colours, self.seen, inside.numpy()))], dim=1)


def _channels_first(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1)))


def mouths_of(clip: Clip, frames: Chosen = ALL) -> Mouths:
    truth = clip.truth
    edges = edge_distances(truth.outlines[frames], truth.mouth_box[frames])
    return Mouths(edges, *seen_colours(clip.frames[frames], truth.inside[frames]))


def flow_of(clip: Clip, portrait: int, frames: Chosen = ALL) -> Floats:
    """The flow (N, S, S, 2) to the portrait of that number, known everywhere."""
    return np.stack([filled(flow) for flow in clip.truth.flow[portrait, frames].astype(np.float32)])


def filled(flow: Floats) -> Floats:
    """A flow (S, S, 2) with what is NaN grown in from around it, smoothly."""
    unknown = np.isnan(flow[..., 0])
    if not unknown.any():
        return flow
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    whole = flow[tuple(nearest)]
    for _ in range(ROUNDS):
        whole[unknown] = uniform_filter(whole, (3, 3, 1), mode="nearest")[unknown]
    return np.asarray(whole, np.float32)


def channels_of(warp: FlowWarp, tokens: Tensor) -> Tensor:
    """Channels (N, K, h, w) of tokens (N, FIELDS_PER_TOKEN, h, w): the nearest that the basis has."""
    return F.conv2d(tokens, torch.linalg.pinv(warp.basis).T[:, :, None, None])


def leading_components(clips: list[Clip], unit: float) -> FlowWarp:
    """The strongest components of what a random frame of each clip has, without a mean, so that nothing moves by default.

    unit: what a flow channel is inside faces on average, and each of the others in mouths (root mean square).
    """
    rng = np.random.default_rng(6)
    chosen = [
        (clip, int(rng.integers(len(clip.truth.flow))), int(rng.integers(len(clip.frames)))) for clip in clips
    ]
    mouths = [mouths_of(clip, [frame]) for clip, _, frame in chosen]
    flows = [flow_of(clip, portrait, [frame]) for clip, portrait, frame in chosen]
    warp = FlowWarp(sum(FLOW_CHANNELS))
    warp.inside.copy_(_mean_colours(mouths))
    tokens = [mouth.tokens(flow, warp.inside) for mouth, flow in zip(mouths, flows, strict=True)]
    vectors = np.concatenate([token[0].flatten(1).T.double().numpy() for token in tokens])
    face, mouth = (
        np.concatenate(
            [
                patches_within(getattr(clip.truth, box)[frame], *clip.frames.shape[1:3])
                for clip, _, frame in chosen
            ]
        )
        for box in ("face_box", "mouth_box")
    )
    weights = 1 + FACE_WEIGHT * face + MOUTH_WEIGHT * mouth
    row = column = 0
    for count, width, within in zip(
        FLOW_CHANNELS,
        (*(planes * CELLS_PER_TOKEN**2 for planes in CELL_CHANNELS), COLOUR_CHANNELS),
        (face, mouth, mouth, mouth),
        strict=True,
    ):
        part = vectors[:, column : column + width]
        warp.basis[row : row + count, column : column + width] = _components(
            part, weights, within, count, unit
        )
        row, column = row + count, column + width
    assert column == FIELDS_PER_TOKEN
    return warp


def _components(
    vectors: NDArray[np.float64],
    weights: NDArray[np.float64],
    within: NDArray[np.bool_],
    count: int,
    unit: float,
) -> Tensor:
    """(count, D): the strongest directions of vectors (N, D), as long as makes them ``unit`` within on average."""
    directions = np.linalg.eigh((vectors * weights[:, None]).T @ vectors)[1][:, ::-1][:, :count].T
    rms = np.sqrt((vectors[within] ** 2).sum(axis=1).mean() / count)
    return torch.from_numpy(directions * rms / unit).float()


def _mean_colours(mouths: list[Mouths]) -> Tensor:
    """The mean colours of flesh and teeth (COLOUR_CHANNELS,) in [-1, 1], by how much of them is to be seen."""
    seen = np.concatenate([mouth.seen for mouth in mouths]).astype(np.float64)[..., None]
    colours = np.concatenate([mouth.colours for mouth in mouths])
    mean = (colours * seen).sum(axis=(0, 1, 2)) / seen.sum(axis=(0, 1, 2)).clip(1e-6)
    return torch.from_numpy(mean.reshape(COLOUR_CHANNELS)).float()
