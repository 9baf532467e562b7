"""The best linear autoencoder of patches: the encoder of the bundled model, and what its decoder starts from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lipstream_models.autoencoder import FACTOR, PATCH, Autoencoder

from .dataset import Clip

Array = NDArray[np.float64]


def weighted_patches(
    clip: Clip, rng: np.random.Generator, face_weight: float, mouth_weight: float
) -> tuple[Array, Array]:
    """All patches of a random frame in [-1, 1], ordered as `pixel_unshuffle` orders them (N, 768), and their weights (N,)."""
    frame = int(rng.integers(len(clip.frames)))
    image = np.asarray(clip.frames[frame], np.float64) / 127.5 - 1
    height, width, _ = image.shape
    grid = image.reshape(height // FACTOR, FACTOR, width // FACTOR, FACTOR, 3)
    patches = grid.transpose(0, 2, 4, 1, 3).reshape(-1, PATCH)
    y, x = np.mgrid[0 : height // FACTOR, 0 : width // FACTOR] * FACTOR + FACTOR / 2
    weights = np.ones(y.shape)
    for boxes, weight in ((clip.truth.face_box, face_weight), (clip.truth.mouth_box, mouth_weight)):
        left, top, right, bottom = boxes[frame]
        weights += weight * ((x > left) & (x < right) & (y > top) & (y < bottom))
    return patches, weights.ravel()


@torch.no_grad()
def set_components(
    autoencoder: Autoencoder, clips: list[Clip], face_weight: float, mouth_weight: float
) -> None:
    """Sets the linear layers to the principal components of patches.

    A component of standard deviation s becomes a latent of sqrt(s), halfway between equal weights for all (fine detail would
    take most of what the diffusion model can learn) and weights by energy (it would not count at all).
    """
    rng = np.random.default_rng(4)
    pairs = [weighted_patches(clip, rng, face_weight, mouth_weight) for clip in clips]
    patches, weights = np.concatenate([p for p, _ in pairs]), np.concatenate([w for _, w in pairs])
    mean = np.average(patches, axis=0, weights=weights)
    variances, directions = np.linalg.eigh(np.cov(patches - mean, rowvar=False, aweights=weights))
    count = autoencoder.config.latent_channels
    components = directions[:, ::-1][:, :count].T  # (C, 768), strongest first
    scale = variances[::-1][:count].clip(1e-8)[:, None] ** 0.25
    encoder, decoder = autoencoder.encoder, autoencoder.inverse
    assert encoder.bias is not None
    assert decoder.bias is not None
    encoder.weight.copy_(torch.from_numpy(components / scale)[:, :, None, None])
    encoder.bias.copy_(torch.from_numpy(-(components / scale) @ mean))
    decoder.weight.copy_(torch.from_numpy((components * scale).T.copy())[:, :, None, None])
    decoder.bias.copy_(torch.from_numpy(mean))
