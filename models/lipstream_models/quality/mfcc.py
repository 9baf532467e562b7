"""The cepstral coefficients that SyncNet hears."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
COEFFICIENTS = 13
_WINDOW, _STEP, _FFT = 400, 160, 512  # samples: 25 ms, 10 ms
_FILTERS = 26
_EMPHASIS = 0.97
_LIFTER = 22
_TINY = float(np.finfo(np.float64).eps)


def mfcc(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) samples at 16 kHz in the range of 16-bit integers -> (frames, 13), a hundred frames a second.

    What python_speech_features computes by default: 25 ms of sound without a window function, 26 mel filters up to 8 kHz, liftered
    by 22; the logarithm of the energy stands for the first coefficient, so the samples' scale matters.
    """
    sound = audio.astype(np.float64)
    sharpened = np.concatenate([sound[:1], sound[1:] - _EMPHASIS * sound[:-1]])
    power = np.abs(np.fft.rfft(_frames(sharpened), _FFT)) ** 2 / _FFT
    heard = np.log(np.maximum(power @ mel_filters().T, _TINY))
    order = np.arange(COEFFICIENTS)
    found = heard @ _cosines().T * (1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER))
    found[:, 0] = np.log(np.maximum(power.sum(axis=1), _TINY))
    return found.astype(np.float32)


def mel_filters() -> NDArray[np.float64]:
    """(26, 257) triangles whose corners are bins of the FFT, evenly spaced in mel."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), _FILTERS + 2)
    corners = np.floor((_FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE)
    bins = np.arange(_FFT // 2 + 1)
    low, middle, high = (corners[i : i + _FILTERS, None] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    filters: NDArray[np.float64] = np.where(bins < middle, rising, falling).clip(0, None)
    return filters


def _frames(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """(frames, 400); the last is filled up with silence."""
    count = 1 + max(0, -(-(len(sound) - _WINDOW) // _STEP))
    filled = np.pad(sound, (0, max(0, (count - 1) * _STEP + _WINDOW - len(sound))))
    return np.lib.stride_tricks.sliding_window_view(filled, _WINDOW)[::_STEP][:count]


def _cosines() -> NDArray[np.float64]:
    """(13, 26): the first rows of the orthonormal DCT-II."""
    order, position = np.arange(COEFFICIENTS)[:, None], np.arange(_FILTERS) + 0.5
    rows: NDArray[np.float64] = np.cos(np.pi * order * position / _FILTERS) * np.sqrt(2 / _FILTERS)
    rows[0] /= np.sqrt(2)
    return rows
