"""Frames and their audio to the binary messages of a session: one class for each kind of container."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np
from PIL import Image

from ...protocol import Container, MediaTag, TaggedMedia
from ..arrays import OUTPUT_SAMPLE_RATE, Frame, Samples
from ..containers import isobmff, matroska
from ..encoder_settings import EncodedPacket
from ..provenance import MADE_BY_AI, xmp_box, xmp_packet
from ..watermark import Watermark
from .codecs import LiveAudioEncoder, LiveVideoEncoder, h264_encoder

_AAC_BIT_RATE = 96_000
_OPUS_BIT_RATE = 64_000
_JPEG_QUALITY = 85


class MediaOutput(Protocol):
    """The media of one session. One thread uses it at a time, not always the same."""

    @property
    def media_type(self) -> str:
        """Media type with codecs, for MediaSource."""

    def initial_messages(self) -> list[bytes]:
        """Return the messages that come before all others."""

    def encode(self, frames: Iterable[Frame], samples: Samples, utterance: int) -> list[bytes]:
        """Return messages for the next F frames (H, W, 3) and their samples (F * OUTPUT_SAMPLE_RATE / fps,).

        Args:
            frames: The frames.
            samples: Mono audio in [-1, 1].
            utterance: Number of the utterance that they show, 0 for none.
        """

    def flush(self) -> list[bytes]:
        """Return the messages of what the encoders held back."""


class Mp4Output:
    """H.264 and AAC in MP4 fragments, one in a message, each ready to be appended to a SourceBuffer."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._video = LiveVideoEncoder(h264_encoder(), width, height, fps)
        self._audio = LiveAudioEncoder("aac", _AAC_BIT_RATE)
        sps, pps = isobmff.parameter_sets(self._video.header)
        self._tracks = isobmff.Mp4Tracks(width, height, fps, sps, pps, self._audio.header, _AAC_BIT_RATE)
        self._number = 0

    @property
    def media_type(self) -> str:
        """Media type with both codecs."""
        return f'video/mp4; codecs="{self._tracks.codecs}"'

    def initial_messages(self) -> list[bytes]:
        """Return the header with the XMP label."""
        return [isobmff.header(self._tracks) + xmp_box()]

    def encode(self, frames: Iterable[Frame], samples: Samples, utterance: int) -> list[bytes]:
        """Return a fragment of what the encoders give out for these frames (H, W, 3) and samples (n,)."""
        video = [packet for frame in frames for packet in self._video.encode(frame)]
        return self._fragment(video, self._audio.encode(samples))

    def flush(self) -> list[bytes]:
        """Return a last fragment."""
        return self._fragment(self._video.flush(), self._audio.flush())

    def _fragment(self, video: list[EncodedPacket], audio: list[EncodedPacket]) -> list[bytes]:
        # Without AAC's lead-in the first sample is at 0 without an edit list: a decoder lacks only the overlap into the first
        # 21 ms, and a session begins in silence.
        audio = [packet for packet in audio if packet.pts >= 0]
        if not video and not audio:
            return []
        self._number += 1
        video = [replace(packet, data=isobmff.length_prefixed(packet.data)) for packet in video]
        return [isobmff.fragment(self._number, video, audio)]


class WebMOutput:
    """VP8 and Opus in WebM clusters, one in a message."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._video = LiveVideoEncoder("libvpx", width, height, fps)
        self._audio = LiveAudioEncoder("libopus", _OPUS_BIT_RATE)
        self._tracks = matroska.WebMTracks(width, height, fps, self._audio.header)

    @property
    def media_type(self) -> str:
        """Media type with both codecs."""
        return 'video/webm; codecs="vp8,opus"'

    def initial_messages(self) -> list[bytes]:
        """Return the header with the label."""
        return [matroska.header(self._tracks)]

    def encode(self, frames: Iterable[Frame], samples: Samples, utterance: int) -> list[bytes]:
        """Return a cluster of what the encoders give out for these frames (H, W, 3) and samples (n,)."""
        video = [packet for frame in frames for packet in self._video.encode(frame)]
        return self._cluster(video, self._audio.encode(samples))

    def flush(self) -> list[bytes]:
        """Return a last cluster."""
        return self._cluster(self._video.flush(), self._audio.flush())

    def _cluster(self, video: list[EncodedPacket], audio: list[EncodedPacket]) -> list[bytes]:
        if not video and not audio:
            return []
        return [matroska.cluster(self._tracks, video, audio)]


class TaggedOutput:
    """Every frame, and all audio of a call, in a message of its own, behind the header of `protocol.TaggedMedia`."""

    def __init__(self, tag: MediaTag, width: int, height: int, fps: int) -> None:
        self._tag = tag
        self._type = f"{tag.name.lower()};width={width};height={height};fps={fps}"
        self._frames = self._samples = 0

    @property
    def media_type(self) -> str:
        """Lipstream's own media type, with the sizes that a client needs."""
        audio = f"s16le;rate={OUTPUT_SAMPLE_RATE};channels=1"
        return f"application/x-lipstream; pictures={self._type}; sound={audio}"

    def initial_messages(self) -> list[bytes]:
        """Return nothing: there is no header."""
        return []

    def encode(self, frames: Iterable[Frame], samples: Samples, utterance: int) -> list[bytes]:
        """Return a message for each frame (H, W, 3) and one for all samples (n,)."""
        messages = []
        for frame in frames:
            payload = frame.tobytes() if self._tag is MediaTag.RGB else encode_jpeg(frame)
            messages.append(self._pack(self._tag, utterance, self._frames, payload))
            self._frames += 1
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        messages.append(self._pack(MediaTag.PCM, utterance, self._samples, pcm))
        self._samples += len(samples)
        return messages

    def flush(self) -> list[bytes]:
        """Return nothing: nothing is held back."""
        return []

    @staticmethod
    def _pack(tag: MediaTag, utterance: int, position: int, payload: bytes) -> bytes:
        return TaggedMedia(tag=tag, utterance=utterance, position=position, payload=payload).pack()


class WatermarkedOutput:
    """Another output whose frames get a watermark."""

    def __init__(self, media: MediaOutput, watermark: Watermark) -> None:
        self._media, self._watermark = media, watermark

    @property
    def media_type(self) -> str:
        """Media type of the other output."""
        return self._media.media_type

    def initial_messages(self) -> list[bytes]:
        """Return those of the other output."""
        return self._media.initial_messages()

    def encode(self, frames: Iterable[Frame], samples: Samples, utterance: int) -> list[bytes]:
        """Return messages for frames (H, W, 3) with the watermark, and samples (n,)."""
        return self._media.encode([self._watermark.apply(frame) for frame in frames], samples, utterance)

    def flush(self) -> list[bytes]:
        """Return those of the other output."""
        return self._media.flush()


def encode_jpeg(frame: Frame) -> bytes:
    """Encode a frame (H, W, 3) as a JPEG that declares that it was generated."""
    file = io.BytesIO()
    comment = MADE_BY_AI["description"].encode()
    Image.fromarray(frame).save(file, "JPEG", quality=_JPEG_QUALITY, xmp=xmp_packet(), comment=comment)
    return file.getvalue()


def open_media_output(
    container: Container, width: int, height: int, fps: int, watermark: bool = False
) -> MediaOutput:
    """Open the encoders of one session, which takes some milliseconds of computing."""
    media = _open(container, width, height, fps)
    return WatermarkedOutput(media, Watermark(width, height)) if watermark else media


def _open(container: Container, width: int, height: int, fps: int) -> MediaOutput:
    match container:
        case "fmp4":
            return Mp4Output(width, height, fps)
        case "webm":
            return WebMOutput(width, height, fps)
        case "jpeg":
            return TaggedOutput(MediaTag.JPEG, width, height, fps)
        case "rgb":
            return TaggedOutput(MediaTag.RGB, width, height, fps)
