"""What all video encoders share, and the packets that encoders give out."""

from __future__ import annotations

from dataclasses import dataclass

from av.video.codeccontext import VideoCodecContext

_KEY_FRAME_SECONDS = 2  # a player can seek to any key frame
_BT709 = 1  # ISO/IEC 23091-2: the code of BT.709 for primaries, transfer and matrix alike
_LIMITED_RANGE = 1  # FFmpeg's AVCOL_RANGE_MPEG: 16 to 235, what players expect


@dataclass(frozen=True)
class EncodedPacket:
    """One encoded frame, or one packet of audio.

    Attributes:
        data: The encoded bytes.
        pts: Presentation time, in frames, or in samples at OUTPUT_SAMPLE_RATE.
        duration: In the same unit.
        key: Whether a decoder can start here.
    """

    data: bytes
    pts: int
    duration: int
    key: bool = True


def configure_video(context: VideoCodecContext, width: int, height: int, fps: int) -> None:
    """Set size, 4:2:0 pixels, BT.709 in limited range, and the interval of key frames."""
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.gop_size = _KEY_FRAME_SECONDS * fps
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
