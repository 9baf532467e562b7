"""The length that a WAV file declares. FFmpeg goes by the size of the file, and so does not notice that the end is missing."""

from __future__ import annotations

import struct
from typing import IO

_UNKNOWN_SIZE = 0x7FFF_F000  # this and above: written by programs that could not go back to fill in the size
_MAX_CHUNKS = 100


def declared_seconds(file: IO[bytes]) -> float:
    """Return the declared length in seconds; 0 for a file that is no WAV, or declares none."""
    if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
        return 0.0
    byte_rate = 0
    for _ in range(_MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return 0.0
        kind, size = struct.unpack("<4sI", head)
        if kind == b"data":
            return size / byte_rate if byte_rate and size < _UNKNOWN_SIZE else 0.0
        if kind == b"fmt ":
            byte_rate = struct.unpack("<I", file.read(12)[8:].ljust(4, b"\0"))[0]
            size -= 12
        file.seek(max(0, size + size % 2), 1)
    return 0.0
