"""RGB pictures to the 4:2:0 pictures that encoders take: BT.709, limited range."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from .arrays import (
    Frame,
)

# A colour of the smaller planes is the mean of four pixels. FFmpeg averages pairs while it reads RGB unless it is told to read
# every pixel, which is slower and no nearer to the picture.
_AVERAGE = Interpolation.AREA | Interpolation.FULL_CHR_H_INP


class RgbToYuvConverter:
    """Pictures of one size. What a conversion needs is set up once: tables and threads of its own for every picture cost more
    than converting it.
    """

    def __init__(self, width: int, height: int) -> None:
        self._rgb = av.VideoFrame(width, height, "rgb24")
        plane = self._rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        self._rows = rows[:, : 3 * width]  # the rest of a row is padding
        self._reformatter = VideoReformatter()
        self._shown: Frame | None = None
        self._converted: av.VideoFrame | None = None

    def convert(self, picture: Frame) -> av.VideoFrame:
        """The picture (H, W, 3), without a time. The very array that was given last is not converted again: nobody may change a
        picture that has been given.
        """
        if self._converted is None or picture is not self._shown:
            self._rows[:] = picture.reshape(self._rows.shape)
            self._converted = self._reformatter.reformat(
                self._rgb,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=_AVERAGE,
                threads=1,
            )
            self._shown = picture
        return self._converted
