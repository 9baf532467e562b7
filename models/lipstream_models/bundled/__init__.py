"""The model, avatars and recording that are part of the package."""

from .bundle import (
    BundledWeights,
    avatar_names,
    avatar_path,
    bundled_model_path,
    load_bundled,
    read_bundled,
    read_bundled_configs,
    recording_path,
    save_bundled,
)

__all__ = [
    "BundledWeights",
    "avatar_names",
    "avatar_path",
    "bundled_model_path",
    "load_bundled",
    "read_bundled",
    "read_bundled_configs",
    "recording_path",
    "save_bundled",
]
