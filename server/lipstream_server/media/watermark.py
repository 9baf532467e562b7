"""A visible mark: "AI" on a dark badge in the lower right corner of every picture, drawn once and blended in."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .arrays import (
    Frame,
)

_TEXT = "AI"
_SHARE = 1 / 11  # of the shorter side is the badge's height: 23 pixels of 256
_LEAST = 16
_SHADE = 0.65  # how dark the badge makes what is below it
_INK = 0.95


class Watermark:
    """For pictures of one size, in pixels."""

    def __init__(self, width: int, height: int) -> None:
        tall = max(_LEAST, round(min(width, height) * _SHARE))
        badge = _badge(tall)
        rows, columns = badge.shape[:2]
        top, left = height - rows - tall // 3, width - columns - tall // 3
        self._place = (slice(top, top + rows), slice(left, left + columns))
        # picture * keep + add, in 16 bits: 8 of them after the point
        keep, ink = badge[..., 0, None], badge[..., 1, None]
        self._keep = np.rint(keep * 256).astype(np.uint16)
        self._add = np.rint(ink * 255 * 256).astype(np.uint16)

    def on(self, picture: Frame) -> Frame:
        """A copy (H, W, 3) with the mark: what is given may be shown again."""
        marked = picture.copy()
        below = marked[self._place]
        below[:] = (below * self._keep + self._add) >> 8
        return marked


def _badge(tall: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(rows, columns, 2): what is kept of the picture, and what is added, of full white. Drawn at four times the size."""
    fine = 4
    font = ImageFont.load_default(tall * fine * 0.8)
    left, top, right, bottom = font.getbbox(_TEXT)
    wide = round((right - left) / fine + tall * 0.6)
    size = (wide * fine, tall * fine)
    shade, ink = Image.new("L", size), Image.new("L", size)
    ImageDraw.Draw(shade).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), tall * fine // 4, 255)
    middle = ((size[0] - left - right) / 2, (size[1] - top - bottom) / 2)
    ImageDraw.Draw(ink).text(middle, _TEXT, 255, font)
    shaded, written = (
        np.asarray(drawn.resize((wide, tall), Image.Resampling.BOX), np.float64) / 255
        for drawn in (shade, ink)
    )
    written *= _INK
    return np.stack([(1 - _SHADE * shaded) * (1 - written), written], axis=-1)
