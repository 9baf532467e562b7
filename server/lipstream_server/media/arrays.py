"""Array types and sample rates that engines and media share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""One RGB video frame (H, W, 3)."""
Frames = NDArray[np.uint8]
"""RGB video frames (F, H, W, 3)."""
RgbImage = NDArray[np.uint8]
"""A decoded image file, RGB (H, W, 3)."""
Samples = NDArray[np.float32]
"""Mono audio (n,) in [-1, 1]."""

ENGINE_SAMPLE_RATE = 16_000
"""Sample rate in Hz of the mono audio that engines are given."""
OUTPUT_SAMPLE_RATE = 48_000
"""Sample rate in Hz of all live audio that is sent. An AAC packet lasts 21 ms at it; at 16 kHz it would last 64 ms and add that
much latency."""
