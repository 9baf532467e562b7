"""Frame files, read and refused as the models room does it, without a network: the server's process can do it too.

The models room is imported inside a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..media.arrays import (
    Frame,
)
from .base import (
    PortraitCode,
    PortraitError,
)

if TYPE_CHECKING:
    from lipstream_models.portrait import ImageError, ImageLimits

_PORTRAIT_CODES: Mapping[str, PortraitCode] = MappingProxyType(
    {
        "ImageEmptyError": "image_empty",
        "NotAnImageError": "not_an_image",
        "ImageTooLargeError": "image_too_large",
        "ImageDamagedError": "image_damaged",
        "ImageColourError": "image_colour",
        "NoFaceError": "no_face",
        "FaceTooSmallError": "face_too_small",
    }
)
"""By the name of the class, so that the models room is not loaded for it."""


def decode_image(data: bytes, limits: ImageLimits) -> Frame:
    """Raises PortraitError."""
    from lipstream_models.portrait import ImageError, load_portrait

    try:
        return load_portrait(data, limits)
    except ImageError as error:
        raise portrait_error(error) from error


def portrait_error(error: ImageError) -> PortraitError:
    """What the seam calls it."""
    return PortraitError(_PORTRAIT_CODES.get(type(error).__name__, "image_unusable"), str(error))
