"""A visible watermark: "AI" on a dark badge in the lower right corner of a frame, drawn once and blended in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .arrays import Frame

_TEXT = "AI"
_HEIGHT_SHARE = 1 / 11  # height of the badge over the shorter side of the frame: 23 pixels of 256
_MIN_HEIGHT = 16  # pixels
_BADGE_OPACITY = 0.65
_TEXT_OPACITY = 0.95
_SUPERSAMPLING = 4


class Watermark:
    """The watermark for frames of one size."""

    def __init__(self, width: int, height: int) -> None:
        badge_height = max(_MIN_HEIGHT, round(min(width, height) * _HEIGHT_SHARE))
        keep, ink = _draw_badge(badge_height)
        rows, columns = keep.shape
        margin = badge_height // 3
        top, left = height - rows - margin, width - columns - margin
        self._region = (slice(top, top + rows), slice(left, left + columns))
        # frame * keep + add, in 16 bits with 8 fractional bits
        self._keep = np.rint(keep[..., None] * 256).astype(np.uint16)
        self._add = np.rint(ink[..., None] * 255 * 256).astype(np.uint16)

    def apply(self, frame: Frame) -> Frame:
        """Return a copy (H, W, 3) with the watermark; the given frame may be shown again."""
        marked = frame.copy()
        region = marked[self._region]
        region[:] = (region * self._keep + self._add) >> 8
        return marked


def _draw_badge(height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two arrays (rows, columns): the share of the frame that is kept, and the share of white that is added."""
    font = ImageFont.load_default(height * _SUPERSAMPLING * 0.8)
    left, top, right, bottom = font.getbbox(_TEXT)
    width = round((right - left) / _SUPERSAMPLING + height * 0.6)
    size = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
    shade, text = Image.new("L", size), Image.new("L", size)
    ImageDraw.Draw(shade).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), size[1] // 4, 255)
    origin = ((size[0] - left - right) / 2, (size[1] - top - bottom) / 2)
    ImageDraw.Draw(text).text(origin, _TEXT, 255, font)
    shaded, written = (
        np.asarray(drawn.resize((width, height), Image.Resampling.BOX), np.float64) / 255
        for drawn in (shade, text)
    )
    ink = written * _TEXT_OPACITY
    return (1 - _BADGE_OPACITY * shaded) * (1 - ink), ink
