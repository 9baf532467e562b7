"""Configurations of a small bundled model."""

from lipstream_models.autoencoders.patch_autoencoder import AutoencoderConfig
from lipstream_models.config import AudioProjectionConfig, NetworkConfig

NETWORK = NetworkConfig(
    latent_channels=4,
    block_out_channels=(16, 16),
    heads=2,
    motion_heads=2,
    norm_groups=8,
    motion_norm_groups=8,
    cross_attention_dim=8,
    audio_attention_dim=8,
    unused_motion_modules=False,
    tiled_identity=False,
    face_locator_channels=(4, 4, 4, 4, 8),
    audio_projection=AudioProjectionConfig(5, 2, 384, 8, 8, 2),
)
AUTOENCODER = AutoencoderConfig(4, (4, 4, 8, 8), (1, 1, 1, 1))
