"""Whisper's log-mel spectrogram, computed here: 80 slaney mels of 25 ms windows every 10 ms at 16 kHz."""

import torch
from torch import Tensor, nn

SAMPLE_RATE = 16000
N_FFT = 400
HOP = 160
MELS = 80
PAST = N_FFT // 2  # samples that mel frame m needs before sample 160 m, and after it


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """Slaney's scale: linear (200/3 Hz a mel) up to 1000 Hz, logarithmic (27 mels per factor 6.4) above."""
    linear = hertz * 3.0 / 200.0
    logarithmic = 15.0 + torch.log(hertz.clamp(min=1000.0) / 1000.0) * (27.0 / torch.log(torch.tensor(6.4)))
    return torch.where(hertz < 1000.0, linear, logarithmic)


def mel_to_hertz(mels: Tensor) -> Tensor:
    linear = mels * 200.0 / 3.0
    logarithmic = 1000.0 * torch.exp((mels - 15.0) * torch.log(torch.tensor(6.4, dtype=mels.dtype)) / 27.0)
    return torch.where(mels < 15.0, linear, logarithmic)


def mel_filters(mels: int = MELS, n_fft: int = N_FFT, rate: int = SAMPLE_RATE) -> Tensor:
    """(mels, n_fft/2+1) triangular filters over 0 .. rate/2, each scaled to unit area in Hz."""
    top = hertz_to_mel(torch.tensor([rate / 2.0], dtype=torch.float64))
    edges = mel_to_hertz(torch.linspace(0.0, 1.0, mels + 2, dtype=torch.float64) * top)
    bins = torch.linspace(0.0, rate / 2.0, n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0.0)
    return (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).float()


class LogMel(nn.Module):
    """Samples to Whisper's input scale, with a fixed floor.

    Whisper clamps at (loudest value of the whole recording - 8), which live audio cannot know. Here the floor
    is a constant, so that a frame depends on its own 25 ms alone. `floor` is log10 of mel power.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, floor: float = -7.0) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("filters", mel_filters(), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def log_power(self, audio: Tensor) -> Tensor:
        """(..., 160 M + 240) samples -> (..., 80, M) log10 mel power >= -10.

        Frame m is centred on sample 160 m + 200.
        """
        frames = audio.unfold(-1, N_FFT, HOP)  # (..., M, 400)
        power = torch.fft.rfft(frames * self.window).abs() ** 2  # (..., M, 201)
        mels: Tensor = power @ self.filters.T  # (..., M, 80)
        return mels.transpose(-1, -2).clamp(min=1e-10).log10()

    def forward(self, audio: Tensor) -> Tensor:
        """(..., 160 M + 240) samples -> (..., 80, M) in Whisper's scale, (log10 power + 4) / 4."""
        return (self.log_power(audio).clamp(min=self.floor) + 4.0) / 4.0
