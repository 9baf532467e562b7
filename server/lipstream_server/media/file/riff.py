"""How long a WAV file says that it is. FFmpeg goes by the size of the file, and so does not notice that much of it is missing."""

from __future__ import annotations

import struct
from typing import IO

_UNKNOWN = 0x7FFF_F000  # what writers that could not go back put there, and all above it
_MOST_CHUNKS = 100


def declared_seconds(file: IO[bytes]) -> float:
    """0 for a file that is no WAV, or tells no length."""
    if file.read(4) != b"RIFF" or file.read(8)[4:] != b"WAVE":
        return 0.0
    bytes_a_second = 0
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return 0.0
        kind, size = struct.unpack("<4sI", head)
        if kind == b"data":
            return size / bytes_a_second if bytes_a_second and size < _UNKNOWN else 0.0
        if kind == b"fmt ":
            bytes_a_second = struct.unpack("<I", file.read(12)[8:].ljust(4, b"\0"))[0]
            size -= 12
        file.seek(max(0, size + size % 2), 1)
    return 0.0
