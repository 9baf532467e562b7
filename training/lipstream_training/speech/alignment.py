"""How well phone labels sit on the sound: the lag at which acoustic evidence and labels agree best."""

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
REACH = 0.1
HISSES = frozenset(("S", "Z", "SH", "CH", "JH"))


@dataclass(frozen=True)
class Lags:
    """Milliseconds by which the sound comes after its labels (negative: before), by three kinds of evidence.

    `vowels`: vowel labels against mid-band level; `hisses`: sibilant labels against the high band's share;
    `closures`: middle of P, B and M labels against the level's dip near it (median); `count`: closures seen.
    """

    vowels: float
    hisses: float
    closures: float
    count: int


def lags(speeches: Iterable[Speech]) -> Lags:
    """Measure over several utterances of one voice."""
    vowel, hiss, dips = list[Floats](), list[Floats](), list[float]()
    for speech in speeches:
        mid = band_level(speech.audio, 300, 3000)
        high = band_level(speech.audio, 4000, 7500)
        said = label_mask(speech.phones, frozenset({SILENCE}), len(mid)) < 0.5
        vowel.append(_agreement(label_mask(speech.phones, VOWELS, len(mid)), mid, said))
        hiss.append(_agreement(label_mask(speech.phones, HISSES, len(mid)), high - mid, said))
        dips += _dips(speech.phones, band_level(speech.audio, 150, 7000))
    best = [
        1000 * float((np.argmax(np.sum(curves, 0)) - round(REACH / HOP)) * HOP) for curves in (vowel, hiss)
    ]
    return Lags(best[0], best[1], 1000 * float(np.median(dips)) if dips else 0.0, len(dips))


def band_level(audio: NDArray[np.float32], low: float, high: float) -> Floats:
    """Level in decibels of a band every HOP seconds, from zero-phase filtering and 15 ms windows."""
    sos = butter(3, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos")
    power = sosfiltfilt(sos, audio.astype(np.float64)) ** 2
    width, hop = round(0.015 * SAMPLE_RATE), round(HOP * SAMPLE_RATE)
    smooth = np.convolve(power, np.hanning(width) / np.hanning(width).sum(), "same")
    return np.asarray(np.maximum(10 * np.log10(smooth[hop // 2 :: hop] + 1e-9), -70))


def label_mask(phones: tuple[Phone, ...], symbols: frozenset[str], count: int) -> Floats:
    """1 where one of `symbols` is labelled, on the grid of `band_level`."""
    times, mask = (np.arange(count) + 0.5) * HOP, np.zeros(count)
    for phone in phones:
        if phone.symbol in symbols:
            mask[(times >= phone.start) & (times < phone.end)] = 1.0
    return mask


def _agreement(mask: Floats, level: Floats, said: NDArray[np.bool_]) -> Floats:
    """Covariance of mask and level for every lag from -REACH to REACH."""
    shift = round(REACH / HOP)
    centred = np.where(said, level - level[said].mean() if said.any() else 0.0, 0.0)
    weight = np.where(said, mask - mask[said].mean() if said.any() else 0.0, 0.0)
    padded = np.pad(centred, shift)
    return np.array([float(weight @ padded[i : i + len(mask)]) for i in range(2 * shift + 1)])


def _dips(phones: tuple[Phone, ...], level: Floats) -> list[float]:
    """Where the level is lowest around bilabials between vowels, against the label's middle, in seconds."""
    found = []
    for before, phone, after in zip(phones, phones[1:], phones[2:], strict=False):
        if phone.symbol in BILABIALS and before.symbol in VOWELS and after.symbol in VOWELS:
            first, last = int((phone.start - 0.05) / HOP), int((phone.end + 0.05) / HOP)
            piece = level[max(0, first) : last]
            if len(piece):
                low = piece <= piece.min() + 4.0
                found.append(
                    (max(0, first) + float(np.flatnonzero(low).mean()) + 0.5) * HOP
                    - (phone.start + phone.end) / 2
                )
    return found
