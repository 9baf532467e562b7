"""How much of a video file that is still being written can be played."""

from __future__ import annotations

from typing import IO

from ..containers import isobmff, matroska
from .formats import FileContainer


def playable_bytes(file: IO[bytes], container: FileContainer) -> int:
    """Return the size of the file up to the end of its last complete fragment; 0 before there is one."""
    return matroska.end_of_last_cluster(file) if container == "webm" else isobmff.end_of_last_fragment(file)
