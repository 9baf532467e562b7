"""Formats of video files: their codecs, and the options of FFmpeg's muxer while a file grows and when it is finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ...errors import MediaError
from ..provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI, xmp_box

FileContainer = Literal["mp4", "webm"]
"""Containers of clips."""
_FRAGMENT_SECONDS = (
    1  # lost of a file whose writer is killed; also the delay with which a growing file can be played
)


class VideoError(MediaError):
    """A video cannot be written with these properties."""


@dataclass(frozen=True)
class EncoderOptions:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name.
        bit_rate: Bits per second; 0 where the options set a quality instead.
        sample_rates: Sample rates in Hz that are kept; audio at others is resampled.
        options: FFmpeg's options.
    """

    name: str
    bit_rate: int = 0
    sample_rates: tuple[int, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoFormat:
    """A container with its encoders.

    Attributes:
        name: Suffix, and name of FFmpeg's muxer.
        media_type: Media type of the file.
        video: Encoder of the video track.
        audio: Encoder of the audio track.
        growing_options: Options of the muxer while the file is written.
        final_options: Options of the muxer when it is finished.
        tags: Metadata that declares that the file was generated.
        trailer: Bytes behind the finished file that declare it too.
    """

    name: FileContainer
    media_type: str
    video: EncoderOptions
    audio: EncoderOptions
    growing_options: Mapping[str, str]
    final_options: Mapping[str, str]
    tags: Mapping[str, str]
    trailer: bytes = b""


# `flush_packets`: a finished fragment is in the file, for whoever plays it meanwhile. `delay_moov`: the index waits for the first
# fragment, because only then the lead-in of the audio encoder is known and can be written as an edit list; an index written at
# once shifts the video by it instead. `frag_every_frame` looks simpler, but with two tracks it repeats time stamps and loses
# frames. AAC: the rates that its header can name (ISO/IEC 14496-3, table 1.18).
_MP4 = VideoFormat(
    "mp4",
    "video/mp4",
    EncoderOptions("libx264", options={"preset": "veryfast", "crf": "18"}),
    EncoderOptions(
        "aac",
        128_000,
        (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350),
    ),
    {
        "movflags": "delay_moov+default_base_moof+frag_keyframe",
        "frag_duration": str(_FRAGMENT_SECONDS * 1_000_000),
        "flush_packets": "1",
    },
    {"movflags": "faststart"},
    MADE_BY_AI,
    xmp_box(),
)
# `bitexact`: no random file id, so that equal input makes equal files. `cues_to_front`: a player can seek before it has the end.
# `lag-in-frames`: by default the encoder holds 25 frames back, and the file would be a second behind. At this `crf` frames are as
# near to the original, in as many bytes, as with H.264's above.
_WEBM = VideoFormat(
    "webm",
    "video/webm",
    EncoderOptions(
        "libvpx-vp9",
        options={
            "deadline": "realtime",
            "cpu-used": "8",
            "row-mt": "1",
            "lag-in-frames": "0",
            "crf": "28",
            "b": "0",
        },
    ),
    EncoderOptions("libopus", 96_000, (48_000,)),
    {
        "cluster_time_limit": str(_FRAGMENT_SECONDS * 1000),
        "flush_packets": "1",
        "fflags": "+bitexact",
    },
    {"cues_to_front": "1", "fflags": "+bitexact"},
    MappingProxyType({**MADE_BY_AI, "DIGITAL_SOURCE_TYPE": DIGITAL_SOURCE_TYPE}),
)
FORMATS: Mapping[str, VideoFormat] = MappingProxyType({"mp4": _MP4, "webm": _WEBM})
_SUFFIXES: Mapping[str, VideoFormat] = MappingProxyType({".mp4": _MP4, ".m4v": _MP4, ".webm": _WEBM})


def format_for_path(path: Path) -> VideoFormat:
    """Return the format that the suffix names. Raises VideoError."""
    video_format = _SUFFIXES.get(path.suffix.lower())
    if video_format is None:
        raise VideoError(
            f"the video is an MP4 or a WebM file: expected a name that ends in .mp4 or .webm, got {path.name!r}"
        )
    return video_format
