"""Decoding of image files to upright 8-bit RGB pixels; everything else is refused with a reason.

Only still-image decoders run, chosen by the first bytes of the content; names, extensions and declared types
do not count. No metadata is followed or executed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from .colour import to_rgb
from .errors import (
    ImageDamagedError,
    ImageEmptyError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    NotAnImageError,
)
from .region import Pixels

ImageSource = str | os.PathLike[str] | bytes | IO[bytes]
Decoder = Callable[[io.BytesIO], ImageFile.ImageFile]

ACCEPTED = "a JPEG, PNG, WebP, BMP, TIFF or GIF image"


@dataclass(frozen=True)
class ImageLimits:
    """Limits of an image file.

    Attributes:
        max_bytes: Size of the file.
        max_pixels: Pixels that its header may announce.
        working_side: Longer side in pixels to which decoded images are reduced; the model needs a face of a
            few hundred pixels.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    working_side: int = 2048


def load_portrait(
    source: ImageSource,
    limits: ImageLimits | None = None,
    backdrop: tuple[int, int, int] = (128, 128, 128),
) -> Pixels:
    """Decode an image to (H, W, 3) uint8 RGB, upright by its EXIF tag, at most `limits.working_side` long.

    Of an animation the first frame is used. 16-bit values keep their upper 8 bits. An embedded colour profile
    is converted to sRGB.

    Args:
        source: A path, bytes or a stream.
        limits: Limits of the file.
        backdrop: RGB behind transparent parts: mid-grey shows the least fringe around cut-out hair, light or
            dark.

    Raises:
        ImageError: The file cannot be used; each reason has its own subclass.
    """
    limits = limits or ImageLimits()
    data = _read(source, limits)
    name, decoder = _sniff(data)
    # On hostile bytes decoders raise nearly anything (SyntaxError, struct.error, KeyError ...).
    try:
        image = decoder(io.BytesIO(data))
    except Exception as error:
        raise ImageDamagedError(
            f"expected {ACCEPTED}; this begins like a {name} file, but its header cannot be read ({error})."
            " Save the image again from an image editor"
        ) from error
    _check_pixels(name, image.size, limits)
    try:
        _draft(image, limits)
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _shrink(to_rgb(upright, backdrop), limits)
    except ImageError:
        raise
    except Exception as error:
        raise ImageDamagedError(
            f"expected a whole {name} image of {image.size[0]} x {image.size[1]} pixels; it is truncated or"
            f" damaged ({error}). Copy or download it again"
        ) from error


def _read(source: ImageSource, limits: ImageLimits) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        try:
            with Path(source).open("rb") as stream:
                data = stream.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ImageMissingError(
                f"expected {ACCEPTED} at {os.fspath(source)!r}; it cannot be read: {reason}. Check the path"
            ) from error
    else:
        data = source.read(limits.max_bytes + 1)
    if not data:
        raise ImageEmptyError(f"expected {ACCEPTED}; got 0 bytes. Was the upload cut off?")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(
            f"expected at most {limits.max_bytes // 2**20} MiB; the file is larger. Save it smaller, as JPEG"
        )
    return data


def _sniff(data: bytes) -> tuple[str, Decoder]:
    """Return name and decoder of the format that the first bytes announce."""
    for prefix, name, decoder in (
        (b"\xff\xd8\xff", "JPEG", JpegImagePlugin.JpegImageFile),
        (b"\x89PNG\r\n\x1a\n", "PNG", PngImagePlugin.PngImageFile),
        (b"BM", "BMP", BmpImagePlugin.BmpImageFile),
        (b"II*\x00", "TIFF", TiffImagePlugin.TiffImageFile),
        (b"MM\x00*", "TIFF", TiffImagePlugin.TiffImageFile),
        (b"GIF87a", "GIF", GifImagePlugin.GifImageFile),
        (b"GIF89a", "GIF", GifImagePlugin.GifImageFile),
    ):
        if data.startswith(prefix):
            return name, decoder
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP", WebPImagePlugin.WebPImageFile
    raise NotAnImageError(
        f"expected {ACCEPTED}; the content is {_describe(data)}. Export the portrait as JPEG or PNG"
    )


def _describe(data: bytes) -> str:
    """Name the format of a refused file, for the message only."""
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace")
        return {"avif": "an AVIF image", "heic": "a HEIC image", "mif1": "a HEIC image"}.get(
            brand, "an MP4-like file"
        )
    for prefix, name in (
        (b"PK", "a ZIP archive or office document"),
        (b"%PDF", "a PDF document"),
        (b"%!PS", "a PostScript document"),
        (b"8BPS", "a Photoshop document"),
        (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
        (b"\xff\x0a", "a JPEG XL image"),
    ):
        if data.startswith(prefix):
            return name
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page or XML document"
    return f"of an unknown kind (it begins with {data[:8].hex(' ')})"


def _check_pixels(name: str, size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageEmptyError(
            f"expected an image; this {name} announces {width} x {height} pixels. Choose another"
        )
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            f"expected at most {limits.max_pixels / 1e6:.0f} megapixels; this {name} announces"
            f" {width} x {height} ({width * height / 1e6:.0f} megapixels) and was not decoded. Scale it down"
        )


def _draft(image: ImageFile.ImageFile, limits: ImageLimits) -> None:
    """Let the JPEG decoder skip detail that is discarded later; the longer side stays above the target."""
    if image.format == "JPEG":
        factor = limits.working_side / max(image.size)
        if factor < 1:
            image.draft(None, (int(image.width * factor) + 1, int(image.height * factor) + 1))


def _shrink(image: Image.Image, limits: ImageLimits) -> Pixels:
    longer = max(image.size)
    if longer > limits.working_side:
        factor = limits.working_side / longer
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(image)
