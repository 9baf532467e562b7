"""Mono samples to FFmpeg's audio frames and back. PyAV's own conversion, for arrays of any shape, takes several times as long."""

from __future__ import annotations

from typing import Literal

import av
import numpy as np

from .arrays import Samples

SampleFormat = Literal["flt", "fltp"]
"""float32, interleaved or planar: the same bytes for mono, but codecs insist on one of them."""


def to_audio_frame(samples: Samples, sample_rate: int, sample_format: SampleFormat) -> av.AudioFrame:
    """Return the samples (n,), n >= 1, as a frame without a time stamp."""
    frame = av.AudioFrame(sample_format, "mono", len(samples))
    frame.planes[0].update(samples.astype(np.float32, copy=False).tobytes())
    frame.sample_rate = sample_rate
    return frame


def from_audio_frame(frame: av.AudioFrame) -> Samples:
    """Return the samples (n,) of a mono float32 frame, as a view of the frame's memory."""
    return np.frombuffer(memoryview(frame.planes[0]), np.float32, frame.samples)
