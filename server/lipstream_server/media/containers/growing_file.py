"""How much of a video file that is being written can be played already: all of it up to the last whole fragment."""

from __future__ import annotations

import struct
from typing import IO

from ..file.formats import FileContainer

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675  # RFC 9559
_LONGEST_ID, _LONGEST_SIZE = 4, 8


def playable_bytes(file: IO[bytes], container: FileContainer) -> int:
    """Bytes up to there; 0 before there is a fragment."""
    end = file.seek(0, 2)
    return _clusters(file, end) if container == "webm" else _fragments(file, end)


def _fragments(file: IO[bytes], end: int) -> int:
    """To the end of the last whole `mdat` of a fragmented MP4."""
    whole = position = 0
    while position + 8 <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))[0]
        if size < 8 or position + size > end:
            break
        position += size
        if kind == b"mdat":
            whole = position
    return whole


def _clusters(file: IO[bytes], end: int) -> int:
    """To the end of the last whole cluster of a WebM, whose segment, around all of them, has no end before it is finished."""
    whole = position = 0
    while position < end:
        file.seek(position)
        kind, size, head = _element(file.read(_LONGEST_ID + _LONGEST_SIZE))
        if not head:
            break
        if kind == _SEGMENT:
            position += head
            continue
        if position + head + size > end:
            break
        position += head + size
        if kind == _CLUSTER:
            whole = position
    return whole


def _element(head: bytes) -> tuple[int, int, int]:
    """Id, size, and how many bytes these two take: 0 where they are not whole, or are none."""
    long = _length(head, _LONGEST_ID)
    wide = _length(head[long:], _LONGEST_SIZE)
    if not (long and wide and len(head) >= long + wide):
        return 0, 0, 0
    size = int.from_bytes(head[long : long + wide]) & ((1 << 7 * wide) - 1)
    return int.from_bytes(head[:long]), size, long + wide


def _length(number: bytes, most: int) -> int:
    """Bytes of a number, which the zeros say that it begins with; 0 for one that there cannot be."""
    length = 9 - number[0].bit_length() if number else 0
    return length if length <= most else 0
