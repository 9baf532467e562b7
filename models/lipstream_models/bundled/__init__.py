"""The model, avatars and recording that ship with the package."""

from .bundle import avatar_names, avatar_path, bundled_model_path, load_bundled, recording_path, save_bundled

__all__ = [
    "avatar_names",
    "avatar_path",
    "bundled_model_path",
    "load_bundled",
    "recording_path",
    "save_bundled",
]
