"""Whisper features per video frame, defined on short windows: live audio gives what a whole file gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from .mel import HOP, PAST, LogMel
from .sliding import (
    FPS,
    FRAME,
    Rows,
    Samples,
    Slider,
    SlidingStream,
    WindowGrid,
)
from .whisper import WhisperEncoder, load_whisper

STEPS = FRAME // (2 * HOP)  # encoder steps per video frame
_UNHEARD = 72
"""Samples at the end of a window that are mirrored instead of waited for: the 2.5 ms by which its last mel frame reaches beyond its
last video frame, and 2 ms that a resampler keeps to itself. Live audio comes in pieces of 40 ms, one of which they would cost.
"""


@dataclass(frozen=True)
class FeatureConfig:
    """Which encoder states become features, and the windows that define them (see `WindowGrid`).

    layers: 0 is the convolution stem, the last one is normalised. concatenate: a frame's two encoder steps
    side by side in the channels, otherwise their mean. floor: log10 of the mel power below which all is
    silence.
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
        """Every mel frame of a window is made from the real samples around it, but for the end of the last one (`_UNHEARD`)."""
        return WindowGrid(
            self.hop, self.offset, self.left, self.right, PAST, PAST - HOP - _UNHEARD, self.batch
        )


class WhisperFeatures(nn.Module):
    """The bundled model's audio encoder: 16 kHz mono to (frames, blocks, channels) at 25 fps.

    Frame i is made of the encoder steps centred on 40 i and 40 i + 20 ms.
    """

    fps = FPS

    def __init__(self, encoder: WhisperEncoder, config: FeatureConfig = FeatureConfig()) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.mel = LogMel(config.floor)
        self._slider = Slider(config.grid(), self._encode, (self.blocks, self.channels))

    @classmethod
    def bundled(cls, config: FeatureConfig = FeatureConfig(), dtype: torch.dtype = torch.float32) -> Self:
        """With the weights of the package. dtype: of the encoder; bfloat16 halves the time on CPUs that have it."""
        return cls(load_whisper(dtype=dtype), config)

    @property
    def blocks(self) -> int:
        return len(self.config.layers)

    @property
    def channels(self) -> int:
        return self.encoder.config.width * (STEPS if self.config.concatenate else 1)

    @property
    def grid(self) -> WindowGrid:
        return self._slider.grid

    @property
    def look_ahead_frames(self) -> float:
        return self.config.hop - 1 + self._slider.grid.look_ahead / FRAME

    def offline(self, audio: Samples) -> Rows:
        """(N,) samples -> (ceil(N / 640), blocks, channels) float32."""
        return self._slider.offline(audio)

    def stream(self) -> SlidingStream:
        return self._slider.stream()

    def live(self) -> Self:
        return self

    @torch.no_grad()
    def _encode(self, windows: Samples) -> Rows:
        """(B, window samples) -> (B * hop, blocks, channels)."""
        config = self.config
        heard = np.pad(windows, ((0, 0), (0, _UNHEARD)), mode="reflect")
        mel = self.mel(torch.from_numpy(heard).to(self.mel.window.device))  # (B, 80, 4 window)
        states = self.encoder(mel.to(self.encoder.conv1.weight.dtype))
        hop = slice(config.left * STEPS, (config.left + config.hop) * STEPS)
        chosen = torch.stack(
            [states[layer][:, hop] for layer in config.layers], dim=2
        )  # (B, 2 hop, blocks, C)
        return self._pair(chosen.float()).cpu().numpy()

    def _pair(self, steps: Tensor) -> Tensor:
        """(B, hop * 2, blocks, C) steps -> (B * hop, blocks, channels) frames."""
        b, t, blocks, c = steps.shape
        pairs = steps.reshape(b * t // STEPS, STEPS, blocks, c)
        if self.config.concatenate:
            return pairs.transpose(1, 2).reshape(-1, blocks, STEPS * c)
        return pairs.mean(1)


def context_windows(features: Rows, radius: int = 2) -> Rows:
    """(T, ...) -> (T, 2 radius + 1, ...): each frame with its neighbours, the edges repeated."""
    index = np.arange(len(features))[:, None] + np.arange(-radius, radius + 1)[None]
    windows: Rows = features[index.clip(0, len(features) - 1)]
    return windows
