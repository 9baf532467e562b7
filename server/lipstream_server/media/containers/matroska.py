"""WebM, element by element (RFC 8794 and RFC 9559): a header without an end, then one cluster for what has been encoded."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays import (
    OUTPUT_SAMPLE_RATE,
)
from ..live.codecs import (
    EncodedPacket,
)
from ..provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI

VIDEO, SOUND = 1, 2
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_MILLISECOND = 1_000_000  # in nanoseconds, which the format counts in
_PRE_ROLL = (
    80 * _MILLISECOND
)  # RFC 7845, 5.2 (and Matroska's codec mapping): what an Opus decoder needs after a seek
_KEY_FRAME = 0x80


@dataclass(frozen=True)
class Tracks:
    """What the header says. opus: an OpusHead."""

    width: int
    height: int
    fps: int
    opus: bytes

    @property
    def lead_in(self) -> int:
        """Samples at 48 kHz that a decoder gives before the first that counts."""
        skip: int = struct.unpack_from("<H", self.opus, 10)[0]
        return skip


def header(tracks: Tracks) -> bytes:
    """Everything up to the first cluster."""
    head = _element(
        0x1A45DFA3,
        _number(0x4286, 1),
        _number(0x42F7, 1),
        _number(0x42F2, 4),
        _number(0x42F3, 8),
        _element(0x4282, b"webm"),
        _number(0x4287, 4),
        _number(0x4285, 2),
    )
    info = _element(
        0x1549A966,
        _number(0x2AD7B1, _MILLISECOND),
        _element(0x7BA9, MADE_BY_AI["title"].encode()),
        _element(0x4D80, b"Lipstream"),
        _element(0x5741, b"Lipstream"),
    )
    pictures = _element(0xE0, _number(0xB0, tracks.width), _number(0xBA, tracks.height))
    sound = _element(0xE1, _element(0xB5, struct.pack(">d", OUTPUT_SAMPLE_RATE)), _number(0x9F, 1))
    video = _track(VIDEO, 1, b"V_VP8", _number(0x23E383, 1000 * _MILLISECOND // tracks.fps), pictures)
    delay = round(tracks.lead_in * 1e9 / OUTPUT_SAMPLE_RATE)
    audio = _track(
        SOUND,
        2,
        b"A_OPUS",
        _element(0x63A2, tracks.opus),
        _number(0x56AA, delay),
        _number(0x56BB, _PRE_ROLL),
        sound,
    )
    return head + _id(0x18538067) + _UNKNOWN_SIZE + info + _element(0x1654AE6B, video, audio) + _label()


def cluster(tracks: Tracks, pictures: Sequence[EncodedPacket], sounds: Sequence[EncodedPacket]) -> bytes:
    """One cluster with these units in the order of their times, which count milliseconds."""
    units = [(round(1000 * unit.at / tracks.fps), VIDEO, unit) for unit in pictures]
    units += [(round(1000 * (unit.at + tracks.lead_in) / OUTPUT_SAMPLE_RATE), SOUND, unit) for unit in sounds]
    units.sort(key=lambda item: item[:2])
    begin = units[0][0]
    return _element(
        0x1F43B675,
        _number(0xE7, begin),
        *(_element(0xA3, _block(track, time - begin, unit.key), unit.data) for time, track, unit in units),
    )


def _label() -> bytes:
    """Tags of the whole file (RFC 9559, 5.1.8); IPTC's source type has no official name there, and so goes by its own."""
    said = {**MADE_BY_AI, "DIGITAL_SOURCE_TYPE": DIGITAL_SOURCE_TYPE}
    tags = [
        _element(0x67C8, _element(0x45A3, name.upper().encode()), _element(0x4487, text.encode()))
        for name, text in said.items()
    ]
    return _element(0x1254C367, _element(0x7373, _element(0x63C0), *tags))


def _block(track: int, time: int, key: bool) -> bytes:
    return struct.pack(">BhB", 0x80 | track, time, _KEY_FRAME if key else 0)


def _track(number: int, kind: int, codec: bytes, *rest: bytes) -> bytes:
    return _element(
        0xAE,
        _number(0xD7, number),
        _number(0x73C5, number),
        _number(0x9C, 0),
        _number(0x83, kind),
        _element(0x86, codec),
        *rest,
    )


def _number(kind: int, value: int) -> bytes:
    return _element(kind, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _element(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _id(kind) + (1 << 56 | len(body)).to_bytes(8) + body


def _id(kind: int) -> bytes:
    return kind.to_bytes((kind.bit_length() + 7) // 8)
