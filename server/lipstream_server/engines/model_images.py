"""Picture files, read and refused as the models room does it, without a network: the server's process can do it too.

The models room is imported inside a function.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .base import Picture, PortraitCode, PortraitError

if TYPE_CHECKING:
    from lipstream_models.portrait import ImageError, ImageLimits

_PORTRAIT_CODES: Mapping[str, PortraitCode] = MappingProxyType(
    {
        "ImageEmptyError": "picture_empty",
        "NotAnImageError": "not_a_picture",
        "ImageTooLargeError": "picture_too_large",
        "ImageDamagedError": "picture_damaged",
        "ImageColourError": "picture_colour",
        "NoFaceError": "no_face",
        "FaceTooSmallError": "face_too_small",
    }
)
"""By the name of the class, so that the models room is not loaded for it."""


def read_picture(data: bytes, limits: ImageLimits) -> Picture:
    """Raises PortraitError."""
    from lipstream_models.portrait import ImageError, load_portrait

    try:
        return load_portrait(data, limits)
    except ImageError as error:
        raise portrait_error(error) from error


def portrait_error(error: ImageError) -> PortraitError:
    """What the seam calls it."""
    return PortraitError(_PORTRAIT_CODES.get(type(error).__name__, "picture_unusable"), str(error))
