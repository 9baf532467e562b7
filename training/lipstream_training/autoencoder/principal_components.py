"""The best linear autoencoder of patches: the encoder of the bundled model, and what its decoder starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lipstream_models.autoencoders.patch_autoencoder import FACTOR, PATCH, Autoencoder

from ..data.dataset import Clip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """mean: (768,); directions: (C, 768) of length one, strongest first; scale: (C,), the root of each one's standard deviation.

    A component of standard deviation s becomes a latent of sqrt(s), halfway between equal weights for all (fine detail would
    take most of what the diffusion model can learn) and weights by energy (it would not count at all).
    """

    mean: Array
    directions: Array
    scale: Array

    def analysis(self) -> Array:
        """(C, 768): patches without their mean -> latents."""
        return np.asarray(self.directions / self.scale[:, None])

    def synthesis(self) -> Array:
        """(768, C): latents -> patches without their mean."""
        return np.asarray((self.directions * self.scale[:, None]).T)


def weighted_patches(
    clip: Clip, rng: np.random.Generator, face_weight: float, mouth_weight: float
) -> tuple[Array, Array]:
    """All patches of a random frame in [-1, 1], ordered as `pixel_unshuffle` orders them (N, 768), and their weights (N,)."""
    frame = int(rng.integers(len(clip.frames)))
    image = np.asarray(clip.frames[frame], np.float64) / 127.5 - 1
    height, width, _ = image.shape
    grid = image.reshape(height // FACTOR, FACTOR, width // FACTOR, FACTOR, 3)
    patches = grid.transpose(0, 2, 4, 1, 3).reshape(-1, PATCH)
    face, mouth = (
        patches_within(box[frame], height, width) for box in (clip.truth.face_box, clip.truth.mouth_box)
    )
    return patches, 1 + face_weight * face + mouth_weight * mouth


def patches_within(box: NDArray[np.float32], height: int, width: int) -> NDArray[np.bool_]:
    """Which patches of a picture have their middle in a box of pixels (left, top, right, bottom): (N,)."""
    y, x = np.mgrid[0 : height // FACTOR, 0 : width // FACTOR] * FACTOR + FACTOR / 2
    left, top, right, bottom = box
    within: NDArray[np.bool_] = ((x > left) & (x < right) & (y > top) & (y < bottom)).ravel()
    return within


def sample_patches(
    clips: list[Clip], face_weight: float, mouth_weight: float, frames: int = 1
) -> tuple[Array, Array]:
    """The weighted patches of so many frames of each clip."""
    rng = np.random.default_rng(4)
    pairs = [weighted_patches(clip, rng, face_weight, mouth_weight) for clip in clips for _ in range(frames)]
    return np.concatenate([p for p, _ in pairs]), np.concatenate([w for _, w in pairs])


def leading_components(patches: Array, weights: Array, count: int) -> Components:
    """The ``count`` strongest principal components of weighted patches."""
    mean = np.average(patches, axis=0, weights=weights)
    variances, directions = np.linalg.eigh(np.cov(patches - mean, rowvar=False, aweights=weights))
    scale = variances[::-1][:count].clip(1e-8) ** 0.25
    return Components(mean, directions[:, ::-1][:, :count].T, scale)


@torch.no_grad()
def place_components(autoencoder: Autoencoder, components: Components, first: int = 0) -> None:
    """Makes the linear layers' channels from ``first`` on those components; what the inverse gives for none of them is not set."""
    encoder, decoder = autoencoder.encoder, autoencoder.inverse
    assert encoder.bias is not None
    channels = slice(first, first + len(components.scale))
    analysis, synthesis = components.analysis(), components.synthesis()
    encoder.weight[channels] = torch.from_numpy(analysis)[:, :, None, None].float()
    encoder.bias[channels] = torch.from_numpy(-analysis @ components.mean).float()
    decoder.weight[:, channels] = torch.from_numpy(synthesis)[:, :, None, None].float()


@torch.no_grad()
def set_components(
    autoencoder: Autoencoder, clips: list[Clip], face_weight: float, mouth_weight: float
) -> None:
    """Sets the linear layers to the principal components of patches of the clips."""
    patches, weights = sample_patches(clips, face_weight, mouth_weight)
    components = leading_components(patches, weights, autoencoder.config.latent_channels)
    place_components(autoencoder, components)
    assert autoencoder.inverse.bias is not None
    autoencoder.inverse.bias.copy_(torch.from_numpy(components.mean))
