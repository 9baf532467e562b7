"""Encoders that give out what they are given at once: pictures to H.264 or VP8, sound to AAC or Opus.

Time stamps come from counting frames and samples. Each object belongs to whoever encodes; none is thread-safe.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from ..arrays import (
    OUTPUT_SAMPLE_RATE,
    Frame,
    Samples,
)
from ..audio_frame import Format, to_audio_frame
from ..colour import RgbToYuvConverter

_KEY_EVERY_SECONDS = 2
_BT709 = 1  # ISO/IEC 23091-2
_LIMITED = 1  # FFmpeg's AVCOL_RANGE_MPEG
_PROBE_SIDE = 256


@dataclass(frozen=True)
class EncodedPacket:
    """One encoded picture or packet of sound. at, duration: in frames, or in samples at OUTPUT_SAMPLE_RATE."""

    data: bytes
    at: int
    duration: int
    key: bool = True


_VIDEO_OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "libx264": {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "crf": "21",
            "threads": "1",
        },
        "h264_nvenc": {
            "preset": "p2",
            "tune": "ull",
            "profile": "baseline",
            "rc": "vbr",
            "cq": "23",
            "delay": "0",
            "zerolatency": "1",
        },
        "libvpx": {
            "deadline": "realtime",
            "cpu-used": "12",
            "lag-in-frames": "0",
            "crf": "12",
        },
    }
)

_SOUND_OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # At the bit rates of speech it is nearer to the original than the default search, and takes 40 % of its time.
        "aac": {"aac_coder": "fast"},
        "libopus": {"application": "lowdelay", "frame_duration": "20"},
    }
)


class LiveVideoEncoder:
    """RGB frames to packets, one for one. codec: libx264, h264_nvenc or libvpx."""

    def __init__(self, codec: str, width: int, height: int, fps: int) -> None:
        context = cast(VideoCodecContext, av.CodecContext.create(codec, "w"))
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.framerate, context.time_base = Fraction(fps), Fraction(1, fps)
        context.gop_size = _KEY_EVERY_SECONDS * fps
        context.max_b_frames = 0
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        context.options = dict(_VIDEO_OPTIONS[codec])
        context.thread_count = (
            1  # the parallelism is between sessions; libvpx's threads spin while they wait for each other
        )
        if codec == "libvpx":
            context.bit_rate = max(500_000, width * height * 12)  # an upper bound, with crf
        context.flags |= Flags.global_header
        context.open()
        self.count = 0
        self.header = context.extradata or b""
        self._colours = RgbToYuvConverter(width, height)
        self._context = context

    def encode(self, pixels: Frame) -> list[EncodedPacket]:
        """One frame (H, W, 3)."""
        frame = self._colours.convert(pixels)
        frame.pts, frame.time_base = self.count, self._context.time_base
        self.count += 1
        return [_picture(packet) for packet in self._context.encode(frame)]

    def flush(self) -> list[EncodedPacket]:
        return [_picture(packet) for packet in self._context.encode(None)]


class LiveAudioEncoder:
    """Mono samples at 48 kHz to packets. codec: aac or libopus."""

    def __init__(self, codec: str, bit_rate: int) -> None:
        context = cast(AudioCodecContext, av.CodecContext.create(codec, "w"))
        self._format: Format = "fltp" if codec == "aac" else "flt"
        context.sample_rate, context.layout, context.format = OUTPUT_SAMPLE_RATE, "mono", self._format
        context.time_base = Fraction(1, OUTPUT_SAMPLE_RATE)
        context.bit_rate = bit_rate
        context.options = dict(_SOUND_OPTIONS[codec])
        context.flags |= Flags.global_header
        context.open()
        self.count = 0
        self.header = context.extradata or b""
        self._context = context

    def encode(self, samples: Samples) -> list[EncodedPacket]:
        """(n,) in [-1, 1]. A packet may begin before 0: encoders have a lead-in."""
        if not len(samples):
            return []
        frame = to_audio_frame(samples, OUTPUT_SAMPLE_RATE, self._format)
        frame.pts, frame.time_base = self.count, self._context.time_base
        self.count += len(samples)
        return [_sound(packet) for packet in self._context.encode(frame)]

    def flush(self) -> list[EncodedPacket]:
        return [_sound(packet) for packet in self._context.encode(None)]


@functools.cache
def h264_encoder() -> str:
    """h264_nvenc where one frame can really be encoded with it, else libx264: the wheel has both on every machine."""
    try:
        probe = LiveVideoEncoder("h264_nvenc", _PROBE_SIDE, _PROBE_SIDE, 25)
        units = probe.encode(np.zeros((_PROBE_SIDE, _PROBE_SIDE, 3), np.uint8))
    except (av.FFmpegError, OSError, ValueError):
        return "libx264"
    return "h264_nvenc" if units else "libx264"


def _picture(packet: av.Packet[av.VideoStream]) -> EncodedPacket:
    return EncodedPacket(bytes(packet), _time(packet), 1, bool(packet.is_keyframe))


def _sound(packet: av.Packet[av.AudioStream]) -> EncodedPacket:
    return EncodedPacket(bytes(packet), _time(packet), packet.duration or 0)


def _time(packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream]) -> int:
    if packet.pts is None:
        raise ValueError("the encoder gave a packet without a time stamp")
    return packet.pts
