"""Lengths of video and audio of a fragmented MP4, read from its boxes as they come.

Only the times are read (ISO/IEC 14496-12): `mdhd` and `hdlr` of every track, `tfhd`, `tfdt` and `trun` of every fragment. So a
stream of hours needs no memory, and its figures are known while it runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_CONTAINERS = (b"moov", b"trak", b"mdia", b"moof", b"traf")
# Optional fields of tfhd before its default duration, and of trun before its samples: flag and bytes.
_TFHD_BEFORE = ((0x01, 8), (0x02, 4))
_TFHD_DURATION = 0x08
_TRUN_BEFORE = ((0x001, 4), (0x004, 4))
_TRUN_SAMPLE = (0x100, 0x200, 0x400, 0x800)


@dataclass
class _Track:
    scale: int = 1
    kind: bytes = b""
    duration: int = 0  # of a sample, where a fragment does not say
    samples: int = 0
    end: int = 0


@dataclass
class MediaLengths:
    """Number of frames, and seconds of video and of audio since the beginning."""

    frames: int = 0
    video: float = 0.0
    audio: float = 0.0

    @property
    def skew(self) -> float:
        """Seconds by which the audio is longer than the video; -0.06 to 0.02 while a stream runs, as AAC has blocks."""
        return self.audio - self.video


@dataclass
class FragmentReader:
    """Reader of whole boxes, as every binary message of the container `fmp4` holds them."""

    _tracks: dict[int, _Track] = field(default_factory=dict)
    _current: _Track = field(default_factory=_Track)

    @property
    def lengths(self) -> MediaLengths:
        """Lengths so far."""
        found = MediaLengths()
        for track in self._tracks.values():
            if track.kind == b"vide":
                found.frames, found.video = track.samples, track.end / track.scale
            elif track.kind == b"soun":
                found.audio = track.end / track.scale
        return found

    def feed(self, message: bytes) -> None:
        """Read one message. Raises ValueError for anything but whole boxes."""
        try:
            for kind, body in _boxes(message):
                self._read(kind, body)
        except struct.error as error:
            raise ValueError(f"expected whole boxes of an MP4, got one cut short: {error}") from error

    def _read(self, kind: bytes, body: bytes) -> None:
        if kind == b"tkhd":
            self._current = _Track()
            self._tracks[_u32(body, 20 if body[0] else 12)] = self._current
        elif kind == b"mdhd":
            self._current.scale = _u32(body, 20 if body[0] else 12)
        elif kind == b"hdlr":
            self._current.kind = body[8:12]
        elif kind == b"tfhd":
            self._current = self._tracks.setdefault(_u32(body, 4), _Track())
            flags = _u32(body, 0)
            if flags & _TFHD_DURATION:
                at = 8 + sum(size for flag, size in _TFHD_BEFORE if flags & flag)
                self._current.duration = _u32(body, at)
        elif kind == b"tfdt":
            (self._current.end,) = struct.unpack_from(">Q" if body[0] else ">I", body, 4)
        elif kind == b"trun":
            self._read_run(body)

    def _read_run(self, body: bytes) -> None:
        flags, count = _u32(body, 0), _u32(body, 4)
        at = 8 + sum(size for flag, size in _TRUN_BEFORE if flags & flag)
        width = 4 * sum(bool(flags & flag) for flag in _TRUN_SAMPLE)
        if flags & _TRUN_SAMPLE[0]:
            duration = sum(_u32(body, at + number * width) for number in range(count))
        else:
            duration = count * self._current.duration
        self._current.samples += count
        self._current.end += duration


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of every box; those of the known containers are opened."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            raise ValueError(
                f"expected whole boxes of an MP4, got one of {size} bytes where {len(data) - at} are"
            )
        body = data[at + 8 : at + size]
        if kind in _CONTAINERS:
            yield from _boxes(body)
        else:
            yield kind, body
        at += size


def _u32(body: bytes, at: int) -> int:
    value: int = struct.unpack_from(">I", body, at)[0]
    return value
