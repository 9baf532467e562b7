"""More latent channels for a trained model: `python -m lipstream_training.widen --clips DIR --run DIR`.

The new channels are the strongest components of what the old ones leave out of a patch. The old ones stay what they are, so the
networks, whose new weights begin at zero, go on from what they know: for them the new channels are those of the portrait.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipstream_models.autoencoder import Autoencoder
from lipstream_models.bundled import BundledWeights, read_bundled
from lipstream_models.networks import Network

from .autoencoder_training import COMPONENT_FACE_WEIGHT, COMPONENT_MOUTH_WEIGHT
from .bundled_config import NETWORK
from .dataset import Clip, load_clips
from .principal_components import Array, leading_components, place_components, sample_patches
from .restore import restore

FRAMES = 4  # of each clip: weak components need more patches than strong ones


def widened(weights: BundledWeights, clips: list[Clip], channels: int) -> BundledWeights:
    """The same model with so many latent channels. Raises ValueError when that is not more than it has."""
    old = weights.network.config.latent_channels
    if channels <= old:
        raise ValueError(f"expected more than the {old} latent channels that the model has, got {channels}")
    network = Network(replace(weights.network.config, latent_channels=channels))
    network.load_state_dict(padded(weights.network.state_dict(), network.state_dict()))
    return replace(
        weights, network=network, autoencoder=widened_autoencoder(weights.autoencoder, clips, channels)
    )


def padded(old: dict[str, Tensor], new: dict[str, Tensor]) -> dict[str, Tensor]:
    """The old weights in the shapes of the new ones, zeros where there was nothing."""
    return {name: _padded(value, new[name].shape) for name, value in old.items()}


def _padded(value: Tensor, shape: torch.Size) -> Tensor:
    out = value.new_zeros(shape)
    out[tuple(slice(size) for size in value.shape)] = value
    return out


@torch.no_grad()
def widened_autoencoder(old: Autoencoder, clips: list[Clip], channels: int) -> Autoencoder:
    """The spread that latents are divided by stays, so that the old channels keep their values."""
    new = Autoencoder(replace(old.config, latent_channels=channels))
    new.load_state_dict(padded(old.state_dict(), new.state_dict()))
    count = old.config.latent_channels
    patches, weights = sample_patches(clips, COMPONENT_FACE_WEIGHT, COMPONENT_MOUTH_WEIGHT, FRAMES)
    left = left_out(old, patches)
    added = leading_components(left, weights, channels - count)
    place_components(new, added, first=count)
    new.latent_std[count:] = old.latent_std.mean()
    new.latent_mean[count:] = torch.from_numpy(added.analysis() @ (left.mean(axis=0) - added.mean))
    return new


def left_out(autoencoder: Autoencoder, patches: Array) -> Array:
    """The part of patches (N, 768) that the encoder does not see."""
    seen, _ = np.linalg.qr(autoencoder.encoder.weight.detach().flatten(1).double().numpy().T)  # (768, C)
    return np.asarray(patches - patches @ seen @ seen.T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="rendered training clips")
    parser.add_argument("--run", type=Path, required=True, help="a folder that no training has used yet")
    parser.add_argument("--model", type=Path, default=None, help="the package's own file without it")
    arguments = parser.parse_args()
    channels = NETWORK.latent_channels
    restore(widened(read_bundled(arguments.model), load_clips(arguments.clips), channels), arguments.run)


if __name__ == "__main__":
    main()
