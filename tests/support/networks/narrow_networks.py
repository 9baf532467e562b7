"""Narrow networks of the Hallo family with non-zero weights, and conditions for them."""

import zlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lipstream_models.conditioning import (
    build_session_conditions,
    build_window_conditions,
    identity_tokens,
    motion_features,
)
from lipstream_models.config import AudioProjectionConfig, IdentityProjectionConfig, NetworkConfig
from lipstream_models.networks import Network
from lipstream_models.networks.conditions import Conditions

NARROW = NetworkConfig(
    latent_channels=3,
    block_out_channels=(16, 24, 32),
    heads=2,
    motion_heads=4,
    norm_groups=8,
    motion_norm_groups=4,
    cross_attention_dim=12,
    audio_attention_dim=10,
    face_locator_channels=(4, 8),
    unused_motion_modules=False,
    tiled_identity=False,
    identity_projection=IdentityProjectionConfig(embedding_dim=20, tokens=3),
    audio_projection=AudioProjectionConfig(
        seq_len=2, blocks=2, channels=6, intermediate_dim=8, output_dim=10, context_tokens=4
    ),
)
SIDE = 8


def seeded(key: str, shape: tuple[int, ...]) -> Tensor:
    """Return non-zero weights that depend on the name only; matrices preserve the scale of their input."""
    bits = np.random.PCG64(zlib.crc32(key.encode()))
    noise = np.random.Generator(bits).standard_normal(shape).astype(np.float32)
    if len(shape) > 1:
        return torch.from_numpy(noise / np.sqrt(np.prod(shape[1:]))).float()
    offset = 1.0 if "norm" in key and key.endswith("weight") else 0.0
    return torch.from_numpy(0.1 * noise) + offset


def seeded_network(config: NetworkConfig = NARROW) -> Network:
    network = Network(config).eval()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            parameter.copy_(seeded(key, tuple(parameter.shape)))
    return network


def random_tensor(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_conditions(
    network: Network,
    clip: int = 0,
    *,
    frames: int = 3,
    guided: bool = True,
    motion: bool = True,
    clips: int = 1,
    project: bool = True,
) -> Conditions:
    """Return conditions of ``clips`` windows with numbers clip, clip+1, ...; each depends on its number only."""
    config = network.config

    def stacked(offset: int, *shape: int) -> Tensor:
        parts = [random_tensor(100 * (clip + i) + offset, *shape) for i in range(clips)]
        return torch.stack(parts).to(network.denoising_unet.conv_in.weight.dtype)

    identity = identity_tokens(network, stacked(1, config.identity_projection.embedding_dim))
    masks = [stacked(10 + level, 1, (SIDE >> level) ** 2, 3).sigmoid() for level in range(config.levels)]
    side = SIDE * 2 ** (len(config.face_locator_channels) - 1)
    session = build_session_conditions(
        network,
        stacked(2, config.latent_channels, SIDE, SIDE),
        identity,
        masks,
        stacked(3, 3, side, side).sigmoid(),
        guided=guided,
        motion_scale=(0.5, 1.0, 1.5),
        project=project,
    )
    last_frames = stacked(4, config.motion_frames, config.latent_channels, SIDE, SIDE)
    features = motion_features(network, last_frames, identity, guided) if motion else None
    projection = config.audio_projection
    audio = stacked(5, frames, projection.seq_len, projection.blocks, projection.channels)
    return build_window_conditions(network, session, network.audioproj(audio), features)


def make_latents(config: NetworkConfig, rows: int, frames: int = 3, seed: int = 7) -> Tensor:
    return random_tensor(seed, rows, config.latent_channels, frames, SIDE, SIDE)


TILED = replace(NARROW, tiled_identity=True)
