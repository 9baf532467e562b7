"""Why a portrait cannot be used."""

from ..errors import LipstreamError


class PictureError(LipstreamError):
    """A picture that cannot be used; the subclass says why."""


class PictureMissingError(PictureError):
    """The file does not exist or cannot be read."""


class PictureEmptyError(PictureError):
    """No bytes, or no pixels."""


class NotAPictureError(PictureError):
    """The content is of no accepted format."""


class PictureTooLargeError(PictureError):
    """More bytes or pixels than the limits allow (also a decompression bomb, seen before it is decoded)."""


class PictureDamagedError(PictureError):
    """An accepted format that cannot be decoded because it is truncated or corrupt."""


class PictureColourError(PictureError):
    """Pixels of a kind that cannot be turned into 8-bit RGB."""


class NoFaceError(PictureError):
    """No face was found."""


class FaceTooSmallError(PictureError):
    """A face was found, with too few pixels to animate."""


class CropError(PictureError):
    """A requested crop that does not show the face."""
