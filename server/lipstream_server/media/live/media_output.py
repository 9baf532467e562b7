"""Frames and their sound to the binary messages of a session: the containers of the wire."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np
from PIL import Image

from ...engines.base import Picture, Samples
from ...protocol import Container, MediaTag, TaggedMedia
from ..containers import matroska as webm_clusters
from ..containers.isobmff import (
    Tracks,
    fragment,
    header,
    length_prefixed,
    parameter_sets,
)
from ..provenance import MADE_BY_AI, xmp_box, xmp_packet
from ..watermark import Mark
from .codecs import (
    SOUND_RATE,
    LivePictures,
    LiveSound,
    Unit,
    h264_encoder,
)

_AAC_BIT_RATE = 96_000
_OPUS_BIT_RATE = 64_000
_JPEG_QUALITY = 85


class MediaOut(Protocol):
    """One session's media. It is used by one thread at a time, and that thread may change."""

    @property
    def media_type(self) -> str:
        """With codecs, for MediaSource."""

    def begin(self) -> list[bytes]:
        """The messages that come before all others."""

    def write(self, pictures: Iterable[Picture], samples: Samples, utterance: int) -> list[bytes]:
        """Messages for the next F pictures (H, W, 3) and their samples (F * 48000 / fps,), mono in [-1, 1].

        utterance: whom they show, 0 for nobody.
        """

    def finish(self) -> list[bytes]:
        """The messages that the encoders still held back."""


class Mp4Out:
    """H.264 and AAC in MP4 fragments: one a message, ready to be appended to a SourceBuffer."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._pictures = LivePictures(h264_encoder(), width, height, fps)
        self._sound = LiveSound("aac", _AAC_BIT_RATE)
        sps, pps = parameter_sets(self._pictures.header)
        self._tracks = Tracks(width, height, fps, sps, pps, self._sound.header, _AAC_BIT_RATE)
        self._number = 0

    @property
    def media_type(self) -> str:
        return f'video/mp4; codecs="{self._tracks.codecs}"'

    def begin(self) -> list[bytes]:
        return [header(self._tracks) + xmp_box()]

    def write(self, pictures: Iterable[Picture], samples: Samples, utterance: int) -> list[bytes]:
        units = [unit for picture in pictures for unit in self._pictures.encode(picture)]
        return self._fragment(units, self._sound.encode(samples))

    def finish(self) -> list[bytes]:
        return self._fragment(self._pictures.finish(), self._sound.finish())

    def _fragment(self, pictures: list[Unit], sounds: list[Unit]) -> list[bytes]:
        # AAC's lead-in is left away, which puts the first sample at 0 without an edit list: all that a decoder lacks is what
        # overlaps into the first 21 ms, and a session begins in silence.
        heard = [unit for unit in sounds if unit.at >= 0]
        if not pictures and not heard:
            return []
        self._number += 1
        seen = [replace(unit, data=length_prefixed(unit.data)) for unit in pictures]
        return [fragment(self._number, seen, heard)]


class WebMOut:
    """VP8 and Opus in WebM clusters: one a message."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._pictures = LivePictures("libvpx", width, height, fps)
        self._sound = LiveSound("libopus", _OPUS_BIT_RATE)
        self._tracks = webm_clusters.Tracks(width, height, fps, self._sound.header)

    @property
    def media_type(self) -> str:
        return 'video/webm; codecs="vp8,opus"'

    def begin(self) -> list[bytes]:
        return [webm_clusters.header(self._tracks)]

    def write(self, pictures: Iterable[Picture], samples: Samples, utterance: int) -> list[bytes]:
        units = [unit for picture in pictures for unit in self._pictures.encode(picture)]
        return self._cluster(units, self._sound.encode(samples))

    def finish(self) -> list[bytes]:
        return self._cluster(self._pictures.finish(), self._sound.finish())

    def _cluster(self, pictures: list[Unit], sounds: list[Unit]) -> list[bytes]:
        if not pictures and not sounds:
            return []
        return [webm_clusters.cluster(self._tracks, pictures, sounds)]


class TaggedOut:
    """Every picture and every burst of sound a message of its own, behind the header of `protocol.TaggedMedia`."""

    def __init__(self, tag: MediaTag, width: int, height: int, fps: int) -> None:
        self._tag = tag
        self._type = f"{tag.name.lower()};width={width};height={height};fps={fps}"
        self._frames = self._samples = 0

    @property
    def media_type(self) -> str:
        return f"application/x-lipstream; pictures={self._type}; sound=s16le;rate={SOUND_RATE};channels=1"

    def begin(self) -> list[bytes]:
        return []

    def write(self, pictures: Iterable[Picture], samples: Samples, utterance: int) -> list[bytes]:
        messages = []
        for picture in pictures:
            payload = picture.tobytes() if self._tag is MediaTag.RGB else jpeg(picture)
            messages.append(self._pack(self._tag, utterance, self._frames, payload))
            self._frames += 1
        sound = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        messages.append(self._pack(MediaTag.PCM, utterance, self._samples, sound))
        self._samples += len(samples)
        return messages

    def finish(self) -> list[bytes]:
        return []

    @staticmethod
    def _pack(tag: MediaTag, utterance: int, position: int, payload: bytes) -> bytes:
        return TaggedMedia(tag=tag, utterance=utterance, position=position, payload=payload).pack()


class MarkedOut:
    """Another's media, whose pictures have the mark."""

    def __init__(self, media: MediaOut, mark: Mark) -> None:
        self._media, self._mark = media, mark

    @property
    def media_type(self) -> str:
        return self._media.media_type

    def begin(self) -> list[bytes]:
        return self._media.begin()

    def write(self, pictures: Iterable[Picture], samples: Samples, utterance: int) -> list[bytes]:
        return self._media.write([self._mark.on(picture) for picture in pictures], samples, utterance)

    def finish(self) -> list[bytes]:
        return self._media.finish()


def jpeg(picture: Picture) -> bytes:
    """One picture (H, W, 3) as a JPEG, which says of itself that it was generated."""
    file = io.BytesIO()
    said, label = MADE_BY_AI["description"].encode(), xmp_packet()
    Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY, xmp=label, comment=said)
    return file.getvalue()


def open_media(container: Container, width: int, height: int, fps: int, mark: bool = False) -> MediaOut:
    """The encoders of one session; opening them takes some milliseconds of computing. mark: pictures show what they are."""
    media = _open(container, width, height, fps)
    return MarkedOut(media, Mark(width, height)) if mark else media


def _open(container: Container, width: int, height: int, fps: int) -> MediaOut:
    if container == "fmp4":
        return Mp4Out(width, height, fps)
    if container == "webm":
        return WebMOut(width, height, fps)
    if container == "jpeg":
        return TaggedOut(MediaTag.JPEG, width, height, fps)
    return TaggedOut(MediaTag.RGB, width, height, fps)
