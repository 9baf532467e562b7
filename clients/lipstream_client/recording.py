"""Recordings as the audio that is sent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from .errors import StreamError

RATE = 16_000
SAMPLE_BYTES = 2


def read_audio(path: Path) -> bytes:
    """Return the audio of a file as s16le, 16 kHz mono.

    Raises:
        StreamError: the file has no audio track or cannot be decoded.
        OSError: the file cannot be read.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
            if not container.streams.audio:
                raise StreamError(f"{path}: expected a recording, but this file has no audio track")
            frames = [frame for decoded in container.decode(audio=0) for frame in resampler.resample(decoded)]
    except av.FFmpegError as error:
        raise StreamError(f"{path}: expected a recording, but {str(error.strerror).lower()}") from error
    frames += resampler.resample(None)
    return b"".join(np.ascontiguousarray(frame.to_ndarray()).tobytes() for frame in frames)


def duration_seconds(audio: bytes) -> float:
    """Return the duration of audio in this format."""
    return len(audio) / SAMPLE_BYTES / RATE
