"""The lag of phone labels: the shift in time at which acoustic evidence and labels agree best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from .phones import (
    BILABIALS,
    SAMPLE_RATE,
    SILENCE,
    VOWELS,
    Phone,
    Speech,
)

Floats = NDArray[np.float64]

HOP = 0.0025
"""Seconds between two values of a level."""
MAX_LAG = 0.1
"""Largest lag that is tried, in seconds."""
SIBILANTS = frozenset(("S", "Z", "SH", "CH", "JH"))


@dataclass(frozen=True)
class LabelLags:
    """Milliseconds by which the audio is later than its labels (negative: earlier), by three kinds of evidence.

    Attributes:
        vowels: Vowel labels against the level of the middle band.
        sibilants: Sibilant labels against the level of the high band relative to the middle one.
        closures: Centres of the labels of P, B and M against the minimum of the level near them (median).
        count: Number of closures.
    """

    vowels: float
    sibilants: float
    closures: float
    count: int


def label_lags(speeches: Iterable[Speech]) -> LabelLags:
    """Measure the lag over several utterances of one voice."""
    vowel, hiss, dips = list[Floats](), list[Floats](), list[float]()
    for speech in speeches:
        mid = band_level(speech.audio, 300, 3000)
        high = band_level(speech.audio, 4000, 7500)
        spoken = label_mask(speech.phones, frozenset({SILENCE}), len(mid)) < 0.5
        vowel.append(_agreement(label_mask(speech.phones, VOWELS, len(mid)), mid, spoken))
        hiss.append(_agreement(label_mask(speech.phones, SIBILANTS, len(mid)), high - mid, spoken))
        dips += _dips(speech.phones, band_level(speech.audio, 150, 7000))
    best = [
        1000 * float((np.argmax(np.sum(curves, 0)) - round(MAX_LAG / HOP)) * HOP) for curves in (vowel, hiss)
    ]
    return LabelLags(best[0], best[1], 1000 * float(np.median(dips)) if dips else 0.0, len(dips))


def band_level(audio: NDArray[np.float32], low: float, high: float) -> Floats:
    """Return the level (n,) in decibels of a frequency band of audio (N,), every `HOP` seconds.

    Zero-phase filters and windows of 15 ms.
    """
    sos = butter(3, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
    power = sosfiltfilt(sos, audio.astype(np.float64)) ** 2
    width, hop = round(0.015 * SAMPLE_RATE), round(HOP * SAMPLE_RATE)
    smooth = np.convolve(power, np.hanning(width) / np.hanning(width).sum(), "same")
    return np.asarray(np.maximum(10 * np.log10(smooth[hop // 2 :: hop] + 1e-9), -70))


def label_mask(phones: tuple[Phone, ...], symbols: frozenset[str], count: int) -> Floats:
    """Return a mask (count,) that is 1 where a phone is one of ``symbols``, on the time grid of `band_level`."""
    times, mask = (np.arange(count) + 0.5) * HOP, np.zeros(count)
    for phone in phones:
        if phone.symbol in symbols:
            mask[(times >= phone.start) & (times < phone.end)] = 1.0
    return mask


def _agreement(mask: Floats, level: Floats, spoken: NDArray[np.bool_]) -> Floats:
    """Return the covariance of a mask (n,) and a level (n,) for every lag from -`MAX_LAG` to `MAX_LAG`."""
    shift = round(MAX_LAG / HOP)
    centred = np.where(spoken, level - level[spoken].mean() if spoken.any() else 0.0, 0.0)
    weight = np.where(spoken, mask - mask[spoken].mean() if spoken.any() else 0.0, 0.0)
    padded = np.pad(centred, shift)
    return np.array([float(weight @ padded[i : i + len(mask)]) for i in range(2 * shift + 1)])


def _dips(phones: tuple[Phone, ...], level: Floats) -> list[float]:
    """Return the time in seconds between a bilabial's label and the level's minimum, for bilabials between vowels."""
    offsets = []
    for before, phone, after in zip(phones, phones[1:], phones[2:], strict=False):
        if phone.symbol in BILABIALS and before.symbol in VOWELS and after.symbol in VOWELS:
            first, last = int((phone.start - 0.05) / HOP), int((phone.end + 0.05) / HOP)
            piece = level[max(0, first) : last]
            if len(piece):
                low = piece <= piece.min() + 4.0
                offsets.append(
                    (max(0, first) + float(np.flatnonzero(low).mean()) + 0.5) * HOP
                    - (phone.start + phone.end) / 2
                )
    return offsets
