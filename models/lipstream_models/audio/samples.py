"""Rates and array types of the model's audio; the source of the 16 kHz sample rate in this package."""

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hz, of all audio that a model gets."""
FPS = 25
"""Frames of video per second."""
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS

Samples = NDArray[np.float32]
"""(N,) mono in [-1, 1] at `SAMPLE_RATE`."""
FeatureRows = NDArray[np.float32]
"""(frames, blocks, channels): features of each video frame."""
