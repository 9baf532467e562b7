"""The flow channels of a token: components of flow, mouth edges and colours, which `flow_warp` turns back into fields."""

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

from ..bundled_config import FLOW_CHANNELS
from .dataset import RenderedClip
from .mouth_fields import colour_offsets, edge_distances, mouth_colours
from .patches import patches_within

Floats = NDArray[np.float32]
FrameSelection = slice | list[int]
ALL = slice(None)

FACE_WEIGHT = 4.0
MOUTH_WEIGHT = 40.0
"""Extra weights of patches of the face and of the mouth when the components are computed."""
FILL_ITERATIONS = 60
"""Smoothing passes where the flow is unknown; a mouth is about ten cells wide."""


@dataclass(frozen=True)
class MouthFields:
    """The mouths of N frames, independent of the portrait.

    Attributes:
        edges: (N, S, S, 4), see `edge_distances`.
        colours: (N, h, w, 2, 3), see `mouth_colours`.
        shares: (N, h, w, 2), see `mouth_colours`.
    """

    edges: Floats
    colours: Floats
    shares: Floats

    def tokens(self, flow: Floats, mean_colours: Tensor) -> Tensor:
        """Return all fields of each token (N, FIELDS_PER_TOKEN, h, w), in the order of `FlowWarp.basis`.

        Args:
            flow: (N, S, S, 2) flow to a portrait.
            mean_colours: (COLOUR_CHANNELS,) mean colours of flesh and teeth.
        """
        cells = F.pixel_unshuffle(
            _channels_first(np.concatenate([flow, self.edges], axis=-1)), CELLS_PER_TOKEN
        )
        offsets = colour_offsets(self.colours, self.shares, mean_colours.numpy())
        return torch.cat([cells, _channels_first(offsets)], dim=1)


def _channels_first(values: Floats) -> Tensor:
    """Return values (N, H, W, C) as a tensor (N, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 1)))


def measure_mouths(clip: RenderedClip, frames: FrameSelection = ALL) -> MouthFields:
    """Return the fields of the mouths in some frames of a clip."""
    truth = clip.truth
    edges = edge_distances(truth.outlines[frames], truth.mouth_box[frames])
    return MouthFields(edges, *mouth_colours(clip.frames[frames], truth.inside[frames]))


def portrait_flow(clip: RenderedClip, reference: int, frames: FrameSelection = ALL) -> Floats:
    """Return the flow (N, S, S, 2) from some frames to a reference, with unknown flow filled in."""
    return np.stack([fill_unknown(flow) for flow in clip.truth.flow[reference, frames].astype(np.float32)])


def fill_unknown(flow: Floats) -> Floats:
    """Return a flow (S, S, 2) whose NaN cells are interpolated smoothly from the cells around them."""
    unknown = np.isnan(flow[..., 0])
    if not unknown.any():
        return flow
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    whole = flow[tuple(nearest)]
    for _ in range(FILL_ITERATIONS):
        whole[unknown] = uniform_filter(whole, (3, 3, 1), mode="nearest")[unknown]
    return np.asarray(whole, np.float32)


def fit_channels(warp: FlowWarp, tokens: Tensor) -> Tensor:
    """Return the channels (N, K, h, w) that describe tokens (N, FIELDS_PER_TOKEN, h, w) best (least squares)."""
    return F.conv2d(tokens, torch.linalg.pinv(warp.basis).T[:, :, None, None])


def principal_components(clips: list[RenderedClip], unit: float) -> FlowWarp:
    """Return a warp whose basis is the strongest components of a random frame of each clip.

    The components have no mean, so that zero channels move nothing.

    Args:
        clips: Clips to take the frames from.
        unit: Root mean square of a flow channel inside faces, and of the other channels inside mouths.
    """
    rng = np.random.default_rng(6)
    chosen = [
        (clip, int(rng.integers(len(clip.truth.flow))), int(rng.integers(len(clip.frames)))) for clip in clips
    ]
    mouths = [measure_mouths(clip, [frame]) for clip, _, frame in chosen]
    flows = [portrait_flow(clip, reference, [frame]) for clip, reference, frame in chosen]
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
        warp.basis[row : row + count, column : column + width] = _leading_directions(
            part, weights, within, count, unit
        )
        row, column = row + count, column + width
    assert column == FIELDS_PER_TOKEN
    return warp


def _leading_directions(
    vectors: NDArray[np.float64],
    weights: NDArray[np.float64],
    within: NDArray[np.bool_],
    count: int,
    unit: float,
) -> Tensor:
    """Return the strongest directions (count, D) of vectors (N, D).

    Args:
        vectors: (N, D).
        weights: (N,).
        within: (N,) the vectors inside which a channel's root mean square is to be ``unit``.
        count: Number of directions.
        unit: See above; it determines the lengths.
    """
    directions = np.linalg.eigh((vectors * weights[:, None]).T @ vectors)[1][:, ::-1][:, :count].T
    rms = np.sqrt((vectors[within] ** 2).sum(axis=1).mean() / count)
    return torch.from_numpy(directions * rms / unit).float()


def _mean_colours(mouths: list[MouthFields]) -> Tensor:
    """Return the mean colours of flesh and teeth (COLOUR_CHANNELS,) in [-1, 1], weighted by their visible shares."""
    shares = np.concatenate([mouth.shares for mouth in mouths]).astype(np.float64)[..., None]
    colours = np.concatenate([mouth.colours for mouth in mouths])
    mean = (colours * shares).sum(axis=(0, 1, 2)) / shares.sum(axis=(0, 1, 2)).clip(1e-6)
    return torch.from_numpy(mean.reshape(COLOUR_CHANNELS)).float()
