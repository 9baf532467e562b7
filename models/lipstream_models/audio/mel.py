"""Whisper's log-mel spectrogram: 80 Slaney mels of 25 ms windows every 10 ms at 16 kHz."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .samples import SAMPLE_RATE

N_FFT = 400
HOP = 160
MELS = 80
HALF_WINDOW = N_FFT // 2
"""Samples that mel frame m needs before sample 160 m, and after it."""

Doubles = NDArray[np.float64]
_LOG_STEP = np.log(6.4) / 27.0  # Slaney: 27 mels per factor 6.4 above 1000 Hz, 200/3 Hz a mel below


def triangular_filters(edges: Doubles, positions: Doubles) -> Doubles:
    """Return (n, K) triangles over (n + 2,) edges, evaluated at (K,) positions; each peaks at 1."""
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (positions - lower) / (centre - lower), (upper - positions) / (upper - centre)
    filters: Doubles = np.minimum(rising, falling).clip(0, None)
    return filters


def whisper_filters() -> Tensor:
    """Return Whisper's filters (80, 201) over 0 to 8 kHz, each scaled to unit area in Hz.

    Equal to transformers' `mel_filter_bank` to 3e-7, which a test holds; importing that function would load
    transformers, half a second at every start of a renderer or server.
    """
    nyquist = SAMPLE_RATE / 2
    edges = _mel_to_hertz(np.linspace(0, 15 + np.log(nyquist / 1000) / _LOG_STEP, MELS + 2))
    filters = triangular_filters(edges, np.linspace(0, nyquist, N_FFT // 2 + 1))
    return torch.from_numpy(filters * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


def _mel_to_hertz(mels: Doubles) -> Doubles:
    hertz: Doubles = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * _LOG_STEP))
    return hertz


class LogMel(nn.Module):
    """Log-mel spectrogram on Whisper's scale, with a fixed floor.

    Whisper clamps at the loudest value of the whole recording minus 8, which live audio cannot know. Here the
    floor is a constant, so that a frame depends on its own 25 ms alone.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, floor: float = -7.0) -> None:
        """Prepare filters and window.

        Args:
            floor: Lowest log10 of mel power.
        """
        super().__init__()
        self.floor = floor
        self.register_buffer("filters", whisper_filters(), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def log_power(self, audio: Tensor) -> Tensor:
        """Return log10 mel power >= -10: (..., 160 M + 240) samples -> (..., 80, M).

        Frame m is centred on sample 160 m + 200.
        """
        frames = audio.unfold(-1, N_FFT, HOP)  # (..., M, 400)
        power = torch.fft.rfft(frames * self.window).abs() ** 2  # (..., M, 201)
        mels: Tensor = power @ self.filters.T  # (..., M, 80)
        return mels.transpose(-1, -2).clamp(min=1e-10).log10()

    def forward(self, audio: Tensor) -> Tensor:
        """Return Whisper's input, (log10 power + 4) / 4: (..., 160 M + 240) samples -> (..., 80, M)."""
        return (self.log_power(audio).clamp(min=self.floor) + 4.0) / 4.0
