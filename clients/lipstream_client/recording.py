"""Any file with a sound track, as the audio that is sent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from .errors import StreamError

RATE = 16_000
SAMPLE_BYTES = 2


def read_audio(path: Path) -> bytes:
    """s16le, 16 kHz mono, of any file with a sound track. Raises StreamError, or OSError for a file that is not there."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
            if not container.streams.audio:
                raise StreamError(f"{path}: expected a recording, but there is no sound in this file")
            frames = [made for decoded in container.decode(audio=0) for made in resampler.resample(decoded)]
    except av.FFmpegError as error:
        raise StreamError(f"{path}: expected a recording, but {str(error.strerror).lower()}") from error
    frames += resampler.resample(None)
    return b"".join(np.ascontiguousarray(frame.to_ndarray()).tobytes() for frame in frames)


def seconds_of(audio: bytes) -> float:
    """How long audio of this format lasts."""
    return len(audio) / SAMPLE_BYTES / RATE
