"""Mel-frequency cepstral coefficients, the audio input of SyncNet.

Kept in place of python_speech_features, whose last release is of 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..audio.mel import triangular_filters
from ..audio.samples import SAMPLE_RATE

COEFFICIENTS = 13
_WINDOW, _STEP, _FFT = 400, 160, 512  # samples: 25 ms, 10 ms
_FILTERS = 26
_EMPHASIS = 0.97
_LIFTER = 22
_TINY = float(np.finfo(np.float64).eps)


def mfcc(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the coefficients of (N,) samples at 16 kHz, in the range of 16-bit integers.

    Equal to python_speech_features with its defaults: 25 ms of audio without a window function, 26 mel
    filters up to 8 kHz, liftered by 22. The first coefficient is the logarithm of the energy, so the scale of
    the samples matters.

    Returns:
        (frames, 13), a hundred frames a second.
    """
    samples = audio.astype(np.float64)
    emphasised = np.concatenate([samples[:1], samples[1:] - _EMPHASIS * samples[:-1]])
    power = np.abs(np.fft.rfft(_frames(emphasised), _FFT)) ** 2 / _FFT
    log_mel = np.log(np.maximum(power @ syncnet_filters().T, _TINY))
    order = np.arange(COEFFICIENTS)
    coefficients = log_mel @ _cosines().T * (1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER))
    coefficients[:, 0] = np.log(np.maximum(power.sum(axis=1), _TINY))
    return coefficients.astype(np.float32)


def syncnet_filters() -> NDArray[np.float64]:
    """Return (26, 257) triangles whose corners are rounded down to bins of the FFT, evenly spaced in mel."""
    mels = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), _FILTERS + 2)
    corners = np.floor((_FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / SAMPLE_RATE)
    return triangular_filters(corners, np.arange(_FFT // 2 + 1, dtype=np.float64))


def _frames(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (frames, 400); the last is filled up with silence."""
    count = 1 + max(0, -(-(len(samples) - _WINDOW) // _STEP))
    filled = np.pad(samples, (0, max(0, (count - 1) * _STEP + _WINDOW - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(filled, _WINDOW)[::_STEP][:count]


def _cosines() -> NDArray[np.float64]:
    """Return (13, 26), the first rows of the orthonormal DCT-II."""
    order, position = np.arange(COEFFICIENTS)[:, None], np.arange(_FILTERS) + 0.5
    rows: NDArray[np.float64] = np.cos(np.pi * order * position / _FILTERS) * np.sqrt(2 / _FILTERS)
    rows[0] /= np.sqrt(2)
    return rows
