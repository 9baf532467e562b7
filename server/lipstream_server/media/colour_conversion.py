"""RGB frames to the 4:2:0 frames that encoders take: BT.709, limited range."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from .arrays import Frame

# A chroma sample is the mean of four pixels. Unless told to read every pixel, FFmpeg averages pairs while it reads RGB, which is
# slower and no nearer to the frame.
_AVERAGE = Interpolation.AREA | Interpolation.FULL_CHR_H_INP


class RgbToYuvConverter:
    """Converts frames of one size.

    Tables and threads are set up once: setting them up for every frame takes longer than the conversion.
    """

    def __init__(self, width: int, height: int) -> None:
        self._rgb = av.VideoFrame(width, height, "rgb24")
        plane = self._rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        self._rows = rows[:, : 3 * width]  # the rest of a row is padding
        self._reformatter = VideoReformatter()
        self._last: Frame | None = None
        self._converted: av.VideoFrame | None = None

    def convert(self, frame: Frame) -> av.VideoFrame:
        """Convert a frame (H, W, 3); the result has no time stamp.

        The same array as in the previous call is not converted again, so the caller must not write into it.
        """
        if self._converted is None or frame is not self._last:
            self._rows[:] = frame.reshape(self._rows.shape)
            self._converted = self._reformatter.reformat(
                self._rgb,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=_AVERAGE,
                threads=1,
            )
            self._last = frame
        return self._converted
