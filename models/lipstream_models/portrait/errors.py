"""Reasons why a portrait cannot be used."""

from ..errors import LipstreamError


class ImageError(LipstreamError):
    """An image that cannot be used as a portrait; the subclass says why."""


class ImageMissingError(ImageError):
    """The file does not exist or cannot be read."""


class ImageEmptyError(ImageError):
    """The file has no bytes, or the image has no pixels."""


class NotAnImageError(ImageError):
    """The content is of no accepted image format."""


class ImageTooLargeError(ImageError):
    """The file or the image exceeds the limits; decompression bombs are refused before they are decoded."""


class ImageDamagedError(ImageError):
    """The format is accepted, but the data is truncated or corrupt."""


class ImageColourError(ImageError):
    """The pixels cannot be converted to 8-bit RGB."""


class NoFaceError(ImageError):
    """No face was found."""


class FaceTooSmallError(ImageError):
    """The largest face has too few pixels to be animated."""


class CropError(ImageError):
    """The requested crop does not show the face."""
