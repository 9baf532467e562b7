"""Media of a session, decoded."""

from __future__ import annotations

import io

import av


def decode(data: bytes) -> tuple[list[av.VideoFrame], list[av.AudioFrame]]:
    with av.open(io.BytesIO(data)) as file:
        frames: list[av.VideoFrame] = []
        blocks: list[av.AudioFrame] = []
        for packet in file.demux():
            for decoded in packet.decode():
                (frames if isinstance(decoded, av.VideoFrame) else blocks).append(decoded)  # type: ignore[arg-type]
    return frames, blocks
