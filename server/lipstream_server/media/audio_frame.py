"""Mono samples to FFmpeg's frames and back. PyAV's own way by arrays of any shape takes several times as long."""

from __future__ import annotations

from typing import Literal

import av
import numpy as np

from .arrays import (
    Samples,
)

Format = Literal["flt", "fltp"]
"""float32; the two are the same where there is one channel, but codecs insist on one of them."""


def to_audio_frame(samples: Samples, rate: int, kind: Format) -> av.AudioFrame:
    """The samples (n,), n >= 1, in a frame without a time."""
    frame = av.AudioFrame(kind, "mono", len(samples))
    frame.planes[0].update(samples.astype(np.float32, copy=False).tobytes())
    frame.sample_rate = rate
    return frame


def from_audio_frame(frame: av.AudioFrame) -> Samples:
    """The samples (n,) of a mono frame of float32, in the frame's own memory."""
    return np.frombuffer(memoryview(frame.planes[0]), np.float32, frame.samples)
