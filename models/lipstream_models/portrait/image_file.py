"""A picture file to upright 8-bit RGB pixels, whatever its colours, and a clear refusal of everything else.

Only still-image decoders that are chosen by the first bytes of the content are ever run; names, extensions
and declared types do not count. No metadata is followed or executed.
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
    NotAPictureError,
    PictureDamagedError,
    PictureEmptyError,
    PictureError,
    PictureMissingError,
    PictureTooLargeError,
)
from .region import Pixels

ImageSource = str | os.PathLike[str] | bytes | IO[bytes]
Decoder = Callable[[io.BytesIO], ImageFile.ImageFile]

ACCEPTED = "a JPEG, PNG, WebP, BMP, TIFF or GIF picture"


@dataclass(frozen=True)
class ImageLimits:
    """`max_bytes` of the file, `max_pixels` that its header may announce, and the longer side, in pixels,
    that decoded pictures are reduced to (a face fills a few hundred pixels of what comes later)."""

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    working_side: int = 2048


def load_portrait(
    source: ImageSource,
    limits: ImageLimits | None = None,
    backdrop: tuple[int, int, int] = (128, 128, 128),
) -> Pixels:
    """(H, W, 3) uint8 RGB, upright (EXIF), first frame of an animation, at most `limits.working_side` long.

    Transparent parts are laid over `backdrop`: mid-grey, which shows the least fringe around cut-out hair,
    light or dark. 16-bit values keep their upper 8 bits. An embedded colour profile is converted to sRGB.
    Raises a `PictureError`.
    """
    limits = limits or ImageLimits()
    data = _read(source, limits)
    name, decoder = _sniff(data)
    # the decoders meet hostile bytes here and raise nearly anything (SyntaxError, struct.error, KeyError ...)
    try:
        image = decoder(io.BytesIO(data))
    except Exception as error:
        raise PictureDamagedError(
            f"expected {ACCEPTED}; this begins like a {name} file, but its header cannot be read ({error})."
            " Save the picture again from an image editor"
        ) from error
    _check_pixels(name, image.size, limits)
    try:
        _draft(image, limits)
        image.load()
        upright = ImageOps.exif_transpose(image)
        return _shrink(to_rgb(upright, backdrop), limits)
    except PictureError:
        raise
    except Exception as error:
        raise PictureDamagedError(
            f"expected a whole {name} picture of {image.size[0]} x {image.size[1]} pixels; it is truncated or"
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
            raise PictureMissingError(
                f"expected {ACCEPTED} at {os.fspath(source)!r}; it cannot be read: {reason}. Check the path"
            ) from error
    else:
        data = source.read(limits.max_bytes + 1)
    if not data:
        raise PictureEmptyError(f"expected {ACCEPTED}; got 0 bytes. Was the upload cut off?")
    if len(data) > limits.max_bytes:
        raise PictureTooLargeError(
            f"expected at most {limits.max_bytes // 2**20} MiB; the file is larger. Save it smaller, as JPEG"
        )
    return data


def _sniff(data: bytes) -> tuple[str, Decoder]:
    """Name and decoder of the format that the first bytes announce."""
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
    raise NotAPictureError(
        f"expected {ACCEPTED}; the content is {_describe(data)}. Export the portrait as JPEG or PNG"
    )


def _describe(data: bytes) -> str:
    """What a refused file seems to be, for the message only."""
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace")
        return {"avif": "an AVIF picture", "heic": "a HEIC picture", "mif1": "a HEIC picture"}.get(
            brand, "an MP4-like file"
        )
    for prefix, name in (
        (b"PK", "a ZIP archive or office document"),
        (b"%PDF", "a PDF document"),
        (b"%!PS", "a PostScript document"),
        (b"8BPS", "a Photoshop document"),
        (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
        (b"\xff\x0a", "a JPEG XL picture"),
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
        raise PictureEmptyError(
            f"expected a picture; this {name} announces {width} x {height} pixels. Choose another"
        )
    if width * height > limits.max_pixels:
        raise PictureTooLargeError(
            f"expected at most {limits.max_pixels / 1e6:.0f} megapixels; this {name} announces"
            f" {width} x {height} ({width * height / 1e6:.0f} megapixels) and was not decoded. Scale it down"
        )


def _draft(image: ImageFile.ImageFile, limits: ImageLimits) -> None:
    """Let the JPEG decoder skip detail that would be thrown away (its longer side stays above the target)."""
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
