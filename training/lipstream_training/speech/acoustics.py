"""Making clean speech sound simulate_recording: level, equaliser, room, noise. Nothing here moves a sound in time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from .phones import SAMPLE_RATE

Audio = NDArray[np.float32]


def simulate_recording(audio: Audio, rng: np.random.Generator) -> Audio:
    """A microphone's version of `audio` (N,) -> (N,): peak 0.15..0.95, at times coloured, roomy or noisy."""
    out = audio.astype(np.float64)
    if rng.random() < 0.5:
        out = equalised(out, rng)
    if rng.random() < 0.35:
        out = roomy(out, rng)
    if rng.random() < 0.2:
        out = muffled(out, rng)
    out = out / max(1e-3, float(np.abs(out).max()))
    if rng.random() < 0.8:
        out = out + noise(len(out), rng) * 10 ** rng.uniform(-4.0, -1.8)
    peak = max(1e-3, float(np.abs(out).max()))
    return np.asarray(out / peak * rng.uniform(0.15, 0.95), np.float32)


def equalised(audio: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A gentle spectral tilt of either sign and a high-pass of 60..200 Hz; short, minimum-phase filters."""
    tilt = float(rng.uniform(-0.45, 0.45))
    pole = np.exp(-2 * np.pi * rng.uniform(60, 200) / SAMPLE_RATE)
    tilted = lfilter([1.0, tilt], [1.0], audio)
    return np.asarray(lfilter([1.0, -1.0], [1.0, -pole], tilted))


def muffled(audio: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """What a telephone or a thrifty codec leaves: a low-pass of 3.2..7 kHz, late by less than 0.1 ms."""
    return np.asarray(sosfilt(butter(3, rng.uniform(3200, 7000), fs=SAMPLE_RATE, output="sos"), audio))


def roomy(audio: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A small room: the direct sound stays where it was, an exponentially dying tail follows."""
    decay = rng.uniform(0.015, 0.06)
    times = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(0, 1, len(times)) * np.exp(-times / decay) * (times > 0.002)
    tail *= rng.uniform(0.2, 0.7) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return np.asarray(fftconvolve(audio, tail)[: len(audio)])


def noise(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """White to brownish noise of unit variance."""
    coloured = lfilter([1.0], [1.0, -rng.uniform(0.0, 0.97)], rng.normal(0, 1, count))
    return np.asarray(coloured / max(1e-9, float(coloured.std())))
