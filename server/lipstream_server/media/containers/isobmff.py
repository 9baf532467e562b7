"""Fragmented MP4, box by box (ISO/IEC 14496-12, -14 and -15): a header, then fragments that stand for themselves.

Written by hand, because FFmpeg's muxer holds a fragment back until the next one begins, and repeats time stamps when it is told
not to (`frag_every_frame` with two tracks). Here a fragment is whatever has been encoded, with the time stamps that were counted.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from ..arrays import OUTPUT_SAMPLE_RATE
from ..encoder_settings import EncodedPacket

VIDEO, AUDIO = 1, 2
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_LANGUAGE = 0x55C4  # "und"
_SYNC, _NOT_SYNC = 0x02000000, 0x01010000
_SPS, _PPS, _SEI, _AUD = 7, 8, 6, 9
# The media of a fragment begins where its head ends: size and kind of a box; moof with mfhd; traf with tfhd, tfdt and trun; each
# sample in trun.
_BOX_BYTES, _MOOF_BYTES, _RUN_BYTES, _SAMPLE_BYTES = 8, 24, 64, 12


@dataclass(frozen=True)
class Mp4Tracks:
    """The two tracks as the header describes them.

    Attributes:
        width: In pixels.
        height: In pixels.
        fps: Frames per second.
        sps: Sequence parameter set of H.264, without start code.
        pps: Picture parameter set, without start code.
        audio_config: AudioSpecificConfig of AAC.
        audio_bit_rate: In bits per second.
    """

    width: int
    height: int
    fps: int
    sps: bytes
    pps: bytes
    audio_config: bytes
    audio_bit_rate: int

    @property
    def codecs(self) -> str:
        """Codecs by RFC 6381, for MediaSource: profile, constraints and level of the video, and AAC-LC."""
        return f"avc1.{self.sps[1:4].hex().upper()},mp4a.40.2"


def header(tracks: Mp4Tracks) -> bytes:
    """Return `ftyp` and `moov`."""
    brands = _box(b"ftyp", b"iso5", struct.pack(">I", 512), b"iso5iso6mp41")
    times = struct.pack(">IIII", 0, 0, 1000, 0)
    movie = _full(
        b"mvhd", 0, 0, times, struct.pack(">IH10x", 0x10000, 0x100), _MATRIX, bytes(24), struct.pack(">I", 3)
    )
    extends = _box(b"mvex", _extends(VIDEO), _extends(AUDIO))
    return brands + _box(b"moov", movie, _video_track(tracks), _audio_track(tracks), extends)


def fragment(number: int, video: Sequence[EncodedPacket], audio: Sequence[EncodedPacket]) -> bytes:
    """Return `moof` and `mdat` with these packets, each track without gaps; fragments are numbered from 1."""
    tracks = [(VIDEO, video), (AUDIO, audio)]
    sizes = {track: sum(len(packet.data) for packet in packets) for track, packets in tracks}
    runs = [(track, packets) for track, packets in tracks if packets]
    head = _MOOF_BYTES + sum(_RUN_BYTES + _SAMPLE_BYTES * len(packets) for _, packets in runs) + _BOX_BYTES
    offsets = {VIDEO: head, AUDIO: head + sizes[VIDEO]}
    media = (packet.data for _, packets in runs for packet in packets)
    return _moof(number, runs, offsets) + _box(b"mdat", *media)


def uuid_box(name: uuid.UUID, payload: bytes) -> bytes:
    """Return a box of a private kind."""
    return _box(b"uuid", name.bytes, payload)


def end_of_last_fragment(file: IO[bytes]) -> int:
    """Return the end of the last complete `mdat` of a fragmented MP4; 0 where there is none."""
    end, complete, position = file.seek(0, 2), 0, 0
    while position + _BOX_BYTES <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(_BOX_BYTES))
        if size == 1:  # 64-bit size
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
        if size < _BOX_BYTES or position + size > end:
            break
        position += size
        if kind == b"mdat":
            complete = position
    return complete


def split_nal_units(stream: bytes) -> list[bytes]:
    """Return the NAL units of an Annex B byte stream."""
    units = []
    position = stream.find(b"\0\0\1")
    while position >= 0:
        following = stream.find(b"\0\0\1", position + 3)
        unit = stream[position + 3 : following if following >= 0 else len(stream)]
        units.append(unit.rstrip(b"\0") if following >= 0 else unit)
        position = following
    return units


def parameter_sets(annex_b: bytes) -> tuple[bytes, bytes]:
    """Return SPS and PPS of an encoder's header."""
    units = {unit[0] & 31: unit for unit in split_nal_units(annex_b)}
    return units[_SPS], units[_PPS]


def length_prefixed(annex_b: bytes) -> bytes:
    """Return an encoded frame as MP4 stores it, without parameter sets, which the header has, and without SEI."""
    units = (unit for unit in split_nal_units(annex_b) if unit[0] & 31 not in (_SPS, _PPS, _SEI, _AUD))
    return b"".join(struct.pack(">I", len(unit)) + unit for unit in units)


def _moof(number: int, runs: Sequence[tuple[int, Sequence[EncodedPacket]]], offsets: dict[int, int]) -> bytes:
    tracks = (_run(track, packets, offsets[track]) for track, packets in runs)
    return _box(b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", number)), *tracks)


def _run(track: int, packets: Sequence[EncodedPacket], offset: int) -> bytes:
    samples = b"".join(
        struct.pack(">III", packet.duration, len(packet.data), _SYNC if packet.key else _NOT_SYNC)
        for packet in packets
    )
    return _box(
        b"traf",
        _full(b"tfhd", 0, 0x020000, struct.pack(">I", track)),
        _full(b"tfdt", 1, 0, struct.pack(">Q", packets[0].pts)),
        _full(b"trun", 0, 0x000701, struct.pack(">Ii", len(packets), offset), samples),
    )


def _extends(track: int) -> bytes:
    return _full(b"trex", 0, 0, struct.pack(">IIIII", track, 1, 0, 0, 0))


def _video_track(tracks: Mp4Tracks) -> bytes:
    size = struct.pack(">II", tracks.width << 16, tracks.height << 16)
    config = _box(
        b"avcC",
        bytes([1]) + tracks.sps[1:4] + bytes([0xFF, 0xE1]),
        struct.pack(">H", len(tracks.sps)) + tracks.sps,
        bytes([1]) + struct.pack(">H", len(tracks.pps)) + tracks.pps,
    )
    colour = _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 1, 1, 0))
    entry = _box(
        b"avc1",
        struct.pack(">6xH16x", 1),
        struct.pack(">HHIII", tracks.width, tracks.height, 0x480000, 0x480000, 0),
        struct.pack(">H32xHh", 1, 24, -1),
        config,
        colour,
    )
    media = _full(b"vmhd", 0, 1, bytes(8))
    return _track(VIDEO, size, 0, tracks.fps, b"vide", media, entry)


def _audio_track(tracks: Mp4Tracks) -> bytes:
    decoder = _descriptor(
        4,
        struct.pack(">BB3xII", 0x40, 0x15, tracks.audio_bit_rate, tracks.audio_bit_rate)
        + _descriptor(5, tracks.audio_config),
    )
    elementary = _descriptor(3, struct.pack(">HB", AUDIO, 0) + decoder + _descriptor(6, b"\2"))
    entry = _box(
        b"mp4a",
        struct.pack(">6xH8xHHIHH", 1, 1, 16, 0, OUTPUT_SAMPLE_RATE, 0),
        _full(b"esds", 0, 0, elementary),
    )
    return _track(AUDIO, bytes(8), 0x0100, OUTPUT_SAMPLE_RATE, b"soun", _full(b"smhd", 0, 0, bytes(4)), entry)


def _track(
    number: int, size: bytes, volume: int, scale: int, kind: bytes, media: bytes, entry: bytes
) -> bytes:
    header = struct.pack(">IIIII8xhhH2x", 0, 0, number, 0, 0, 0, 0, volume)
    references = _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1))
    empty = struct.pack(">I", 0)
    table = _box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        _full(b"stts", 0, 0, empty),
        _full(b"stsc", 0, 0, empty),
        _full(b"stsz", 0, 0, empty, empty),
        _full(b"stco", 0, 0, empty),
    )
    return _box(
        b"trak",
        _full(b"tkhd", 0, 7, header, _MATRIX, size),
        _box(
            b"mdia",
            _full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, scale, 0, _LANGUAGE, 0)),
            _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, kind), b"Lipstream\0"),
            _box(b"minf", media, _box(b"dinf", references), table),
        ),
    )


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _descriptor(tag: int, body: bytes) -> bytes:
    """Return a descriptor (ISO/IEC 14496-1, 8.3.3) of a body shorter than 128 bytes."""
    return bytes([tag, len(body)]) + body
