"""Conversion of any Pillow colour mode to 8-bit sRGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from .errors import ImageColourError

MAX_PROFILE_BYTES = 4 * 1024 * 1024


def to_rgb(image: Image.Image, backdrop: tuple[int, int, int]) -> Image.Image:
    """Convert an image to RGB.

    Transparency is composed over `backdrop`, 16-bit grey is scaled, embedded profiles of RGB and CMYK are
    applied.

    Raises:
        ImageColourError: 32-bit integer or floating-point pixels, whose white level is unknown.
    """
    if image.mode in ("I", "F"):
        raise ImageColourError(
            f"expected 8 or 16 bits a channel; got 32-bit pixels (mode {image.mode}), whose white level"
            " is unknown. Save the image as an 8-bit JPEG or PNG"
        )
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32) / 257.0
        return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data or image.mode in ("LA", "PA", "La", "RGBa"):
        layers = image.convert("RGBA")
        opaque = Image.new("RGBA", image.size, (*backdrop, 255))
        opaque.alpha_composite(layers)
        return _apply_profile(opaque.convert("RGB"), image)
    if image.mode in ("RGB", "CMYK"):
        return _apply_profile(image, image)
    return image.convert("RGB")


def _apply_profile(image: Image.Image, tagged: Image.Image) -> Image.Image:
    """Convert to sRGB by the profile of `tagged`, or without one where it is missing or does not fit."""
    profile = tagged.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A profile of another colour space, or a broken one: most viewers show the conversion without it.
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
