"""The files that a video can be: their codecs, and how FFmpeg puts them together while they grow and once they are whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ...errors import MediaError
from ..provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI, xmp_box

FileContainer = Literal["mp4", "webm"]
"""What a clip may be asked for as."""
_FRAGMENT_SECONDS = (
    1  # what is lost of a file whose writer is killed, and how late it can be played while it is made
)


class VideoError(MediaError):
    """A video cannot be written like this."""


@dataclass(frozen=True)
class Codec:
    """name: FFmpeg's. bit_rate: a second; 0 where the options say what quality costs. rates: of sound, in Hz, that are kept."""

    name: str
    bit_rate: int = 0
    rates: tuple[int, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoFormat:
    """name: the suffix, and FFmpeg's muxer. growing, whole: its options while the file is made, and when it is finished. tags: say
    that it was generated. end: bytes behind the finished file, which say so too.
    """

    name: FileContainer
    media_type: str
    pictures: Codec
    sound: Codec
    growing: Mapping[str, str]
    whole: Mapping[str, str]
    tags: Mapping[str, str]
    end: bytes = b""


# `flush_packets`: a fragment that is finished is in the file, for whoever plays it meanwhile. The index (moov) waits for the first
# fragment: only then is the delay of the sound encoder known and can be written as an edit list; an index written at once shifts
# the pictures by that delay instead. `frag_every_frame` looks simpler, but with two tracks it repeats time stamps and frames get
# lost. AAC: the rates that its header can name (ISO/IEC 14496-3, table 1.18); others are resampled.
_MP4 = VideoFormat(
    "mp4",
    "video/mp4",
    Codec("libx264", options={"preset": "veryfast", "crf": "18"}),
    Codec(
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
# `bitexact`: without a random number for the file, equal input makes equal files. `cues_to_front`: a player can seek before it
# has the end. Without `lag-in-frames` the encoder would keep 25 pictures to itself, and the file would be a second behind. At
# this `crf` pictures are as near to the original, in as many bytes, as with the one above.
_WEBM = VideoFormat(
    "webm",
    "video/webm",
    Codec(
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
    Codec("libopus", 96_000, (48_000,)),
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


def format_of(path: Path) -> VideoFormat:
    """By its suffix. Raises VideoError."""
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise VideoError(
            f"the video is an MP4 or a WebM file: expected a name that ends in .mp4 or .webm, got {path.name!r}"
        )
    return found
