"""Any Pillow colour mode to 8-bit sRGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from .errors import PictureColourError

MAX_PROFILE_BYTES = 4 * 1024 * 1024


def to_rgb(image: Image.Image, backdrop: tuple[int, int, int]) -> Image.Image:
    """RGB; transparency laid over `backdrop`; 16-bit grey scaled; embedded profiles of RGB and CMYK applied.

    Raises PictureColourError for 32-bit integer and floating-point pictures.
    """
    if image.mode in ("I", "F"):
        raise PictureColourError(
            f"expected 8 or 16 bits a channel; got 32-bit pixels (mode {image.mode}), whose white nobody"
            " can know. Save the picture as an 8-bit JPEG or PNG"
        )
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32) / 257.0
        return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data or image.mode in ("LA", "PA", "La", "RGBa"):
        layers = image.convert("RGBA")
        opaque = Image.new("RGBA", image.size, (*backdrop, 255))
        opaque.alpha_composite(layers)
        return _through_profile(opaque.convert("RGB"), image)
    if image.mode in ("RGB", "CMYK"):
        return _through_profile(image, image)
    return image.convert("RGB")


def _through_profile(image: Image.Image, tagged: Image.Image) -> Image.Image:
    """To sRGB by the profile that `tagged` carries, or plainly when there is none or it does not fit."""
    profile = tagged.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # a profile of another colour space or a broken one: the plain conversion is what most viewers show
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
