"""The best linear autoencoder of patches: the bundled encoder, and the initial decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lipstream_models.autoencoders.patch_autoencoder import FACTOR, PATCH, Autoencoder

from ..data.dataset import RenderedClip
from ..data.patches import patches_within

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PatchComponents:
    """Principal components of patches.

    A component of standard deviation s becomes a latent channel of standard deviation sqrt(s). That is halfway
    between equal weights, with which fine detail would take most of what the diffusion model can learn, and weights
    by energy, with which fine detail would not count at all.

    Attributes:
        mean: (768,) the mean patch.
        directions: (C, 768) orthonormal, strongest first.
        scale: (C,) the square root of each component's standard deviation.
    """

    mean: Array
    directions: Array
    scale: Array

    def analysis(self) -> Array:
        """Return the matrix (C, 768) that maps centred patches to latents."""
        return np.asarray(self.directions / self.scale[:, None])

    def synthesis(self) -> Array:
        """Return the matrix (768, C) that maps latents to centred patches."""
        return np.asarray((self.directions * self.scale[:, None]).T)


def weighted_patches(
    clip: RenderedClip, rng: np.random.Generator, face_weight: float, mouth_weight: float
) -> tuple[Array, Array]:
    """Return all patches (N, 768) of a random frame, in [-1, 1] and the order of `pixel_unshuffle`, and weights (N,)."""
    frame = int(rng.integers(len(clip.frames)))
    image = np.asarray(clip.frames[frame], np.float64) / 127.5 - 1
    height, width, _ = image.shape
    grid = image.reshape(height // FACTOR, FACTOR, width // FACTOR, FACTOR, 3)
    patches = grid.transpose(0, 2, 4, 1, 3).reshape(-1, PATCH)
    face, mouth = (
        patches_within(box[frame], height, width) for box in (clip.truth.face_box, clip.truth.mouth_box)
    )
    return patches, 1 + face_weight * face + mouth_weight * mouth


def sample_patches(clips: list[RenderedClip], face_weight: float, mouth_weight: float) -> tuple[Array, Array]:
    """Return the patches (N, 768) of one random frame of each clip, and their weights (N,)."""
    rng = np.random.default_rng(4)
    pairs = [weighted_patches(clip, rng, face_weight, mouth_weight) for clip in clips]
    return np.concatenate([p for p, _ in pairs]), np.concatenate([w for _, w in pairs])


def patch_components(patches: Array, weights: Array, count: int) -> PatchComponents:
    """Return the ``count`` strongest principal components of patches (N, 768) with weights (N,)."""
    mean = np.average(patches, axis=0, weights=weights)
    variances, directions = np.linalg.eigh(np.cov(patches - mean, rowvar=False, aweights=weights))
    scale = variances[::-1][:count].clip(1e-8) ** 0.25
    return PatchComponents(mean, directions[:, ::-1][:, :count].T, scale)


@torch.no_grad()
def fit_components(
    autoencoder: Autoencoder, clips: list[RenderedClip], face_weight: float, mouth_weight: float
) -> None:
    """Set the autoencoder's linear layers to the principal components of the clips' patches, in place.

    Args:
        autoencoder: The autoencoder to initialise.
        clips: Clips to take the patches from.
        face_weight: Extra weight of a patch of the face.
        mouth_weight: Extra weight of a patch of the mouth.
    """
    patches, weights = sample_patches(clips, face_weight, mouth_weight)
    components = patch_components(patches, weights, autoencoder.config.latent_channels)
    encoder, decoder = autoencoder.encoder, autoencoder.inverse
    assert encoder.bias is not None
    assert decoder.bias is not None
    analysis, synthesis = components.analysis(), components.synthesis()
    encoder.weight.copy_(torch.from_numpy(analysis)[:, :, None, None])
    encoder.bias.copy_(torch.from_numpy(-analysis @ components.mean))
    decoder.weight.copy_(torch.from_numpy(synthesis)[:, :, None, None])
    decoder.bias.copy_(torch.from_numpy(components.mean))
