"""Image files decoded by the rules of lipstream_models, without a network, so that the server's process can do it too.

lipstream_models is imported inside a function, because the server never loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..media.arrays import RgbImage
from .base import PortraitCode, PortraitError

if TYPE_CHECKING:
    from lipstream_models.portrait import ImageLimits, PictureError

_PORTRAIT_CODES: Mapping[str, PortraitCode] = MappingProxyType(
    {
        "PictureEmptyError": "image_empty",
        "NotAPictureError": "not_an_image",
        "PictureTooLargeError": "image_too_large",
        "PictureDamagedError": "image_damaged",
        "PictureColourError": "image_colour",
        "NoFaceError": "no_face",
        "FaceTooSmallError": "face_too_small",
    }
)
"""By class name, so that lipstream_models need not be imported for it."""


def decode_image(data: bytes, limits: ImageLimits) -> RgbImage:
    """Decode an image file to (H, W, 3). Raises PortraitError."""
    from lipstream_models.portrait import PictureError, load_portrait

    try:
        return load_portrait(data, limits)
    except PictureError as error:
        raise portrait_error(error) from error


def portrait_error(error: PictureError) -> PortraitError:
    """Translate an error of lipstream_models into one of the engine interface."""
    return PortraitError(_PORTRAIT_CODES.get(type(error).__name__, "image_unusable"), str(error))
