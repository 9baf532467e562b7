"""The model, avatars and recording that ship with the package."""

from .bundle import (
    BundledWeights,
    avatar_names,
    avatar_path,
    bundled_model_path,
    load_bundled,
    read_bundled,
    read_shape,
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
    "read_shape",
    "recording_path",
    "save_bundled",
]
