"""Crops of portraits, and ids that follow from an image's content."""

from __future__ import annotations

import hashlib

from ..media.arrays import RgbImage
from .table import Crop

_ID_DIGITS = 16


def cropped(image: RgbImage, crop: Crop | None) -> RgbImage:
    """Return a part of an image, at least one pixel of it.

    Args:
        image: RGB (H, W, 3).
        crop: Left, top, width and height as shares of the image's sides; None for the whole image.

    Returns:
        RGB (h, w, 3), a view.
    """
    if crop is None:
        return image
    height, width, _ = image.shape
    left, top = (
        min(int(share * side), side - 1) for share, side in zip(crop[:2], (width, height), strict=True)
    )
    across, down = (
        max(1, round(share * side)) for share, side in zip(crop[2:], (width, height), strict=True)
    )
    return image[top : top + down, left : left + across]


def avatar_id(data: bytes, crop: Crop | None, owner: str | None) -> str:
    """Return the id of an avatar: the same bytes, crop and owner give the same id."""
    digest = hashlib.sha256(data)
    for each in (crop, owner):
        if each is not None:
            digest.update(repr(each).encode())
    return digest.hexdigest()[:_ID_DIGITS]
