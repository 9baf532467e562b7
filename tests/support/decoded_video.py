"""Decoding of a session's media."""

from __future__ import annotations

import io

import av


def decode(data: bytes) -> tuple[list[av.VideoFrame], list[av.AudioFrame]]:
    """Return the video frames and audio frames of a file."""
    with av.open(io.BytesIO(data)) as file:
        frames: list[av.VideoFrame] = []
        blocks: list[av.AudioFrame] = []
        for packet in file.demux():
            for decoded in packet.decode():
                (frames if isinstance(decoded, av.VideoFrame) else blocks).append(decoded)  # type: ignore[arg-type]
    return frames, blocks
