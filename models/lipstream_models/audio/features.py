"""Whisper features per video frame, defined on short windows, so that live audio equals a whole file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from .mel import HALF_WINDOW, HOP, LogMel
from .samples import (
    FPS,
    SAMPLES_PER_FRAME,
    FeatureRows,
    Samples,
)
from .sliding import SlidingEncoder, SlidingStream, WindowGrid
from .whisper import WhisperEncoder, load_whisper

STEPS = SAMPLES_PER_FRAME // (2 * HOP)
"""Encoder steps per video frame."""
_MIRRORED = 72
"""Samples at the end of a window that are mirrored instead of waited for: the 2.5 ms by which its last mel
frame exceeds its last video frame, and the 2 ms latency of a resampler. Live audio arrives in chunks of 40 ms,
one of which they would cost.
"""


@dataclass(frozen=True)
class FeatureConfig:
    """Choice of encoder states, and the windows that define the features (see `WindowGrid`).

    Attributes:
        layers: Encoder states; 0 is the convolution stem, the last one is normalised.
        hop: Frames of a hop.
        offset: Frames by which the grid starts before the recording.
        left: Frames before a hop.
        right: Frames after a hop.
        concatenate: Put a frame's two encoder steps side by side in the channels, instead of their mean.
        floor: Log10 of the mel power below which all is silence.
        batch: Most windows encoded at once.
    """

    layers: tuple[int, ...] = (2, 4)
    hop: int = 4
    offset: int = 2
    left: int = 24
    right: int = 2
    concatenate: bool = False
    floor: float = -7.0
    batch: int = 32

    def grid(self) -> WindowGrid:
        """Return the grid; all mel frames are computed from real samples, but for the mirrored end of the last."""
        after = HALF_WINDOW - HOP - _MIRRORED
        return WindowGrid(self.hop, self.offset, self.left, self.right, HALF_WINDOW, after, self.batch)


class WhisperFeatures(nn.Module):
    """The bundled model's audio encoder: 16 kHz mono to (frames, blocks, channels) at 25 fps.

    The row of frame i is made of the encoder steps centred on 40 i and 40 i + 20 ms.
    """

    fps = FPS

    def __init__(self, encoder: WhisperEncoder, config: FeatureConfig = FeatureConfig()) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.mel = LogMel(config.floor)
        self._sliding = SlidingEncoder(config.grid(), self._encode, (self.blocks, self.channels))

    @classmethod
    def bundled(cls, config: FeatureConfig = FeatureConfig(), dtype: torch.dtype = torch.float32) -> Self:
        """Return the encoder with the packaged weights; bfloat16 halves the time on CPUs that support it."""
        return cls(load_whisper(dtype=dtype), config)

    @property
    def blocks(self) -> int:
        """Encoder states of a row."""
        return len(self.config.layers)

    @property
    def channels(self) -> int:
        """Channels of a block."""
        return self.encoder.config.width * (STEPS if self.config.concatenate else 1)

    @property
    def grid(self) -> WindowGrid:
        """The grid of windows that defines the rows."""
        return self._sliding.grid

    @property
    def lookahead_frames(self) -> float:
        """Most frames of audio after a frame that its row may need."""
        return self.config.hop - 1 + self._sliding.grid.lookahead / SAMPLES_PER_FRAME

    def offline(self, audio: Samples) -> FeatureRows:
        """Encode a whole recording: (N,) samples -> (ceil(N / 640), blocks, channels) float32."""
        return self._sliding.offline(audio)

    def stream(self) -> SlidingStream:
        """Return a stream for one recording."""
        return self._sliding.stream()

    def live(self) -> Self:
        """Return this encoder, whose lookahead is short."""
        return self

    @torch.no_grad()
    def _encode(self, windows: Samples) -> FeatureRows:
        """Encode windows: (B, window samples) -> (B * hop, blocks, channels)."""
        config = self.config
        padded = np.pad(windows, ((0, 0), (0, _MIRRORED)), mode="reflect")
        mel = self.mel(torch.from_numpy(padded).to(self.mel.window.device))  # (B, 80, 4 window)
        states = self.encoder(mel.to(self.encoder.conv1.weight.dtype))
        hop = slice(config.left * STEPS, (config.left + config.hop) * STEPS)
        chosen = torch.stack(
            [states[layer][:, hop] for layer in config.layers], dim=2
        )  # (B, 2 hop, blocks, C)
        return self._pair(chosen.float()).cpu().numpy()

    def _pair(self, steps: Tensor) -> Tensor:
        """Combine the steps of each frame: (B, hop * 2, blocks, C) -> (B * hop, blocks, channels)."""
        b, t, blocks, c = steps.shape
        pairs = steps.reshape(b * t // STEPS, STEPS, blocks, c)
        if self.config.concatenate:
            return pairs.transpose(1, 2).reshape(-1, blocks, STEPS * c)
        return pairs.mean(1)
