"""The architecture of the bundled model (why these sizes: README of this folder)."""

from __future__ import annotations

from lipstream_models.config import AudioProjectionConfig, NetworkConfig

FLOW_CHANNELS = (16, 8, 8, 6)
"""Channels for the flow, the edges of the lips, the edges of the teeth, and the colours inside the mouth."""
NETWORK = NetworkConfig(
    latent_channels=128,
    flow_channels=sum(FLOW_CHANNELS),
    block_out_channels=(64, 144, 112),
    layers_per_block=1,
    heads=2,
    motion_heads=2,
    norm_groups=16,
    motion_norm_groups=16,
    cross_attention_dim=64,
    audio_attention_dim=64,
    unused_motion_modules=False,
    tiled_identity=False,
    input_gain=True,
    face_locator_channels=(8, 16, 32, 32, 32),
    audio_projection=AudioProjectionConfig(
        seq_len=5, blocks=2, channels=384, intermediate_dim=160, output_dim=64, context_tokens=8
    ),
)
