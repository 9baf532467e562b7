"""Simulated recordings of clean speech: level, equaliser, room and noise, without any delay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from .phones import SAMPLE_RATE

Audio = NDArray[np.float32]


def simulate_recording(audio: Audio, rng: np.random.Generator) -> Audio:
    """Return audio (N,) as a microphone records it (N,): peak 0.15 to 0.95, with filters, room and noise at random."""
    out = audio.astype(np.float64)
    if rng.random() < 0.5:
        out = equalise(out, rng)
    if rng.random() < 0.35:
        out = add_room(out, rng)
    if rng.random() < 0.2:
        out = low_pass(out, rng)
    out = out / max(1e-3, float(np.abs(out).max()))
    if rng.random() < 0.8:
        out = out + noise(len(out), rng) * 10 ** rng.uniform(-4.0, -1.8)
    peak = max(1e-3, float(np.abs(out).max()))
    return np.asarray(out / peak * rng.uniform(0.15, 0.95), np.float32)


def equalise(audio: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return audio (N,) with a slight spectral tilt and a high-pass of 60 to 200 Hz (short, minimum-phase filters)."""
    tilt = float(rng.uniform(-0.45, 0.45))
    pole = np.exp(-2 * np.pi * rng.uniform(60, 200) / SAMPLE_RATE)
    tilted = lfilter([1.0, tilt], [1.0], audio)
    return np.asarray(lfilter([1.0, -1.0], [1.0, -pole], tilted))


def low_pass(audio: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return audio (N,) after a low-pass of 3.2 to 7 kHz, as of a telephone, delayed by less than 0.1 ms."""
    return np.asarray(sosfilt(butter(3, rng.uniform(3200, 7000), fs=SAMPLE_RATE, output="sos"), audio))


def add_room(audio: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return audio (N,) in a small room: the direct sound without delay, then an exponentially decaying tail."""
    decay = rng.uniform(0.015, 0.06)
    times = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(0, 1, len(times)) * np.exp(-times / decay) * (times > 0.002)
    tail *= rng.uniform(0.2, 0.7) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return np.asarray(fftconvolve(audio, tail)[: len(audio)])


def noise(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise (count,) of unit variance, from white to nearly brown."""
    coloured = lfilter([1.0], [1.0, -rng.uniform(0.0, 0.97)], rng.normal(0, 1, count))
    return np.asarray(coloured / max(1e-9, float(coloured.std())))
