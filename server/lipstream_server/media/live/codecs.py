"""Encoders without lookahead: frames to H.264 or VP8, audio to AAC or Opus, packet by packet.

Time stamps come from counting frames and samples. An encoder is used by one thread at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from ..arrays import OUTPUT_SAMPLE_RATE, Frame, Samples
from ..audio_frame import SampleFormat, to_audio_frame
from ..colour_conversion import RgbToYuvConverter
from ..encoder_settings import EncodedPacket, configure_video

_PROBE_SIDE = 256  # pixels

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

_AUDIO_OPTIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # At the bit rates of speech it is nearer to the original than the default search, and takes 40 % of its time.
        "aac": {"aac_coder": "fast"},
        "libopus": {"application": "lowdelay", "frame_duration": "20"},
    }
)


class LiveVideoEncoder:
    """Encodes RGB frames, one packet for each.

    Attributes:
        count: Number of frames so far.
        header: Codec-specific header of the track.
    """

    def __init__(self, codec: str, width: int, height: int, fps: int) -> None:
        """Open an encoder: `libx264`, `h264_nvenc` or `libvpx`."""
        context = cast(VideoCodecContext, av.CodecContext.create(codec, "w"))
        configure_video(context, width, height, fps)
        context.framerate, context.time_base = Fraction(fps), Fraction(1, fps)
        context.max_b_frames = 0
        context.options = dict(_VIDEO_OPTIONS[codec])
        # Sessions run in parallel already, and libvpx's threads spin while they wait for each other.
        context.thread_count = 1
        if codec == "libvpx":
            context.bit_rate = max(500_000, width * height * 12)  # an upper bound, with crf
        context.flags |= Flags.global_header
        context.open()
        self.count = 0
        self.header = context.extradata or b""
        self._converter = RgbToYuvConverter(width, height)
        self._context = context

    def encode(self, frame: Frame) -> list[EncodedPacket]:
        """Encode one frame (H, W, 3)."""
        converted = self._converter.convert(frame)
        converted.pts, converted.time_base = self.count, self._context.time_base
        self.count += 1
        return [_video_packet(packet) for packet in self._context.encode(converted)]

    def flush(self) -> list[EncodedPacket]:
        """Return the packets that the encoder held back."""
        return [_video_packet(packet) for packet in self._context.encode(None)]


class LiveAudioEncoder:
    """Encodes mono samples at OUTPUT_SAMPLE_RATE.

    Attributes:
        count: Number of samples so far.
        header: Codec-specific header of the track.
    """

    def __init__(self, codec: str, bit_rate: int) -> None:
        """Open an encoder: `aac` or `libopus`."""
        context = cast(AudioCodecContext, av.CodecContext.create(codec, "w"))
        self._format: SampleFormat = "fltp" if codec == "aac" else "flt"
        context.sample_rate, context.layout, context.format = OUTPUT_SAMPLE_RATE, "mono", self._format
        context.time_base = Fraction(1, OUTPUT_SAMPLE_RATE)
        context.bit_rate = bit_rate
        context.options = dict(_AUDIO_OPTIONS[codec])
        context.flags |= Flags.global_header
        context.open()
        self.count = 0
        self.header = context.extradata or b""
        self._context = context

    def encode(self, samples: Samples) -> list[EncodedPacket]:
        """Encode samples (n,) in [-1, 1]. The first packet may begin before 0: encoders have a lead-in."""
        if not len(samples):
            return []
        frame = to_audio_frame(samples, OUTPUT_SAMPLE_RATE, self._format)
        frame.pts, frame.time_base = self.count, self._context.time_base
        self.count += len(samples)
        return [_audio_packet(packet) for packet in self._context.encode(frame)]

    def flush(self) -> list[EncodedPacket]:
        """Return the packets that the encoder held back."""
        return [_audio_packet(packet) for packet in self._context.encode(None)]


@functools.cache
def h264_encoder() -> str:
    """Return `h264_nvenc` where it can encode a frame, else `libx264`: PyAV's wheel has both on every machine."""
    try:
        probe = LiveVideoEncoder("h264_nvenc", _PROBE_SIDE, _PROBE_SIDE, 25)
        packets = probe.encode(np.zeros((_PROBE_SIDE, _PROBE_SIDE, 3), np.uint8))
    except (av.FFmpegError, OSError, ValueError):
        return "libx264"
    return "h264_nvenc" if packets else "libx264"


def _video_packet(packet: av.Packet[av.VideoStream]) -> EncodedPacket:
    return EncodedPacket(bytes(packet), _pts(packet), 1, bool(packet.is_keyframe))


def _audio_packet(packet: av.Packet[av.AudioStream]) -> EncodedPacket:
    return EncodedPacket(bytes(packet), _pts(packet), packet.duration or 0)


def _pts(packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream]) -> int:
    if packet.pts is None:
        raise ValueError("the encoder gave a packet without a time stamp")
    return packet.pts
