"""WebM, element by element (RFC 8794 and RFC 9559): a header of unknown size, then a cluster for whatever has been encoded."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from ..arrays import OUTPUT_SAMPLE_RATE
from ..encoder_settings import EncodedPacket
from ..provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI

VIDEO, AUDIO = 1, 2
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
_MAX_ID_BYTES, _MAX_SIZE_BYTES = 4, 8
_MILLISECOND = 1_000_000  # in nanoseconds, the unit of the format
_PRE_ROLL = 80 * _MILLISECOND  # what an Opus decoder needs after a seek (RFC 7845, 5.2)
_KEY_FRAME = 0x80


@dataclass(frozen=True)
class WebMTracks:
    """The two tracks as the header describes them.

    Attributes:
        width: In pixels.
        height: In pixels.
        fps: Frames per second.
        opus_head: OpusHead of the audio (RFC 7845, 5.1).
    """

    width: int
    height: int
    fps: int
    opus_head: bytes

    @property
    def lead_in(self) -> int:
        """Samples at 48 kHz that a decoder gives out before the first one that counts."""
        skip: int = struct.unpack_from("<H", self.opus_head, 10)[0]
        return skip


def header(tracks: WebMTracks) -> bytes:
    """Return everything up to the first cluster."""
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
    video_size = _element(0xE0, _number(0xB0, tracks.width), _number(0xBA, tracks.height))
    audio_rate = _element(0xE1, _element(0xB5, struct.pack(">d", OUTPUT_SAMPLE_RATE)), _number(0x9F, 1))
    video = _track(VIDEO, 1, b"V_VP8", _number(0x23E383, 1000 * _MILLISECOND // tracks.fps), video_size)
    lead_in = round(tracks.lead_in * 1e9 / OUTPUT_SAMPLE_RATE)
    audio = _track(
        AUDIO,
        2,
        b"A_OPUS",
        _element(0x63A2, tracks.opus_head),
        _number(0x56AA, lead_in),
        _number(0x56BB, _PRE_ROLL),
        audio_rate,
    )
    return head + _id(_SEGMENT) + _UNKNOWN_SIZE + info + _element(0x1654AE6B, video, audio) + _label()


def cluster(tracks: WebMTracks, video: Sequence[EncodedPacket], audio: Sequence[EncodedPacket]) -> bytes:
    """Return one cluster with these packets in the order of their times, which count milliseconds."""
    packets = [(round(1000 * packet.pts / tracks.fps), VIDEO, packet) for packet in video]
    packets += [
        (round(1000 * (packet.pts + tracks.lead_in) / OUTPUT_SAMPLE_RATE), AUDIO, packet) for packet in audio
    ]
    packets.sort(key=lambda item: item[:2])
    begin = packets[0][0]
    return _element(
        _CLUSTER,
        _number(0xE7, begin),
        *(
            _element(0xA3, _block(track, time - begin, packet.key), packet.data)
            for time, track, packet in packets
        ),
    )


def end_of_last_cluster(file: IO[bytes]) -> int:
    """Return the end of the last complete cluster of a WebM whose segment is still open; 0 where there is none."""
    end, complete, position = file.seek(0, 2), 0, 0
    while position < end:
        file.seek(position)
        kind, size, head = _read_element(file.read(_MAX_ID_BYTES + _MAX_SIZE_BYTES))
        if not head:
            break
        if kind == _SEGMENT:  # its size is unknown; its elements follow
            position += head
            continue
        if position + head + size > end:
            break
        position += head + size
        if kind == _CLUSTER:
            complete = position
    return complete


def _read_element(head: bytes) -> tuple[int, int, int]:
    """Return id and size of an element, and how many bytes these two take: 0 where they are incomplete or invalid."""
    id_bytes = _number_length(head, _MAX_ID_BYTES)
    size_bytes = _number_length(head[id_bytes:], _MAX_SIZE_BYTES)
    if not (id_bytes and size_bytes and len(head) >= id_bytes + size_bytes):
        return 0, 0, 0
    size = int.from_bytes(head[id_bytes : id_bytes + size_bytes]) & ((1 << 7 * size_bytes) - 1)
    return int.from_bytes(head[:id_bytes]), size, id_bytes + size_bytes


def _number_length(number: bytes, longest: int) -> int:
    """Return the bytes of a variable-length number, by its leading zeros; 0 for an invalid one."""
    length = 9 - number[0].bit_length() if number else 0
    return length if length <= longest else 0


def _label() -> bytes:
    """Return tags of the whole file (RFC 9559, 5.1.8); the IPTC source type has no official name there and goes by its own."""
    values = {**MADE_BY_AI, "DIGITAL_SOURCE_TYPE": DIGITAL_SOURCE_TYPE}
    tags = [
        _element(0x67C8, _element(0x45A3, name.upper().encode()), _element(0x4487, text.encode()))
        for name, text in values.items()
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
