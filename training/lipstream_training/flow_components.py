"""The flow from a frame to its portrait as a few components a token: what `lipstream_models.warp` turns back."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, uniform_filter
from torch import Tensor

from lipstream_models.warp import CELL, CELLS, Warp

from .dataset import Clip
from .principal_components import patches_within

FACE_WEIGHT = 4.0
MOUTH_WEIGHT = 40.0
ROUNDS = 60
"""Of smoothing where the flow is not known; a mouth is some ten cells wide."""


def filled(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """A flow (S, S, 2) with what is NaN grown in from around it, smoothly."""
    unknown = np.isnan(flow[..., 0])
    if not unknown.any():
        return flow
    nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
    whole = flow[tuple(nearest)]
    for _ in range(ROUNDS):
        whole[unknown] = uniform_filter(whole, (3, 3, 1), mode="nearest")[unknown]
    return np.asarray(whole, np.float32)


def tokens_of(cells: NDArray[np.float32]) -> Tensor:
    """Cells (N, S, S, C) -> (N, C CELLS^2, h, w), ordered as `Warp.basis`."""
    return F.pixel_unshuffle(torch.from_numpy(np.ascontiguousarray(np.moveaxis(cells, -1, 1))), CELLS)


def cells_of(flow: NDArray[np.float16]) -> NDArray[np.float32]:
    """Flows (N, S, S, 2), NaN inside mouths -> (N, S, S, 3): flows that are known everywhere, and 1 inside mouths."""
    inside = np.isnan(flow[..., :1]).astype(np.float32)
    return np.concatenate([np.stack([filled(frame) for frame in flow.astype(np.float32)]), inside], axis=-1)


def channels_of(warp: Warp, cells: NDArray[np.float32]) -> Tensor:
    """Flow channels (N, K, h, w) of cells (N, S, S, 3): the nearest that the basis has."""
    return F.conv2d(tokens_of(cells), torch.linalg.pinv(warp.basis).T[:, :, None, None])


def leading_flows(clips: list[Clip], channels: int, unit: float) -> Warp:
    """The strongest components of what a random frame of each clip has, without a mean, so that nothing moves by default: two
    thirds of the channels for the flow, one for the inside of mouths.

    unit: what a flow channel is inside faces on average, and one of the inside in mouths (root mean square).
    """
    rng = np.random.default_rng(6)
    frames = [
        (clip, rng.integers(len(clip.truth.flow)), int(rng.integers(len(clip.frames)))) for clip in clips
    ]
    tokens = [tokens_of(cells_of(clip.truth.flow[p, frame][None])) for clip, p, frame in frames]
    vectors = np.concatenate([token[0].flatten(1).T.double().numpy() for token in tokens])
    face, mouth = (
        np.concatenate(
            [
                patches_within(getattr(clip.truth, box)[frame], *clip.frames.shape[1:3])
                for clip, _, frame in frames
            ]
        )
        for box in ("face_box", "mouth_box")
    )
    warp, count = Warp(channels), 2 * CELLS**2
    flows = channels * 2 // 3
    weights = 1 + FACE_WEIGHT * face + MOUTH_WEIGHT * mouth
    warp.basis[:flows, :count] = _components(vectors[:, :count], weights, face, flows, unit)
    warp.basis[flows:, count:] = _components(vectors[:, count:], weights, mouth, channels - flows, unit)
    warp.inside.copy_(_mean_inside(frames))
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


def _mean_inside(frames: list[tuple[Clip, np.int64, int]]) -> Tensor:
    """The mean colour of mouths' insides (3,) in [-1, 1]."""
    total, counted = np.zeros(3), 0
    for clip, portrait, frame in frames:
        inside = np.isnan(clip.truth.flow[portrait, frame][..., 0]).repeat(CELL, 0).repeat(CELL, 1)
        total += clip.frames[frame][inside].sum(axis=0)
        counted += int(inside.sum())
    return torch.from_numpy(total / max(1, counted) / 127.5 - 1).float()
