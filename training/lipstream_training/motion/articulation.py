"""Phones to mouth tracks: dominance-blended targets, and closures that are reached however short.

Dominance blending after Cohen and Massaro (1993), per articulator, with Gaussian flanks; what a short lip
closure needs beyond that (to be reached, not only approached) is laid over it as a gate with a flat top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..speech.phones import BILABIALS, SILENCE, Phone
from .visemes import (
    ARKIT_NAMES,
    DIPHTHONGS,
    GROUPS,
    Viseme,
    articulator_of_columns,
    load_visemes,
    viseme_target,
)

Floats = NDArray[np.float64]

STEP = 0.005
"""Seconds between the points of the inner time grid."""
SMOOTHING = 0.016
"""Standard deviation in seconds of the low-pass after blending (3 dB at 8 Hz)."""
ANTICIPATION = {"jaw": 0.050, "round": 0.085, "spread": 0.065, "lips": 0.045, "tongue": 0.040}
CARRY_OVER = {"jaw": 0.048, "round": 0.065, "spread": 0.058, "lips": 0.042, "tongue": 0.035}
DIPHTHONG_SHARE = 0.55
HOLD = 0.022
"""Least half-width in seconds of a closure's flat top: a 25 fps frame centre always falls on it."""
RAMP = 0.058


@dataclass(frozen=True)
class Mouth:
    """`tracks` (n, 52) every STEP seconds from `start`; `closures`: seconds at which /p b m/ are tightest."""

    tracks: Floats
    start: float
    closures: tuple[float, ...]


@dataclass(frozen=True)
class _Gesture:
    viseme: Viseme
    target: Floats
    start: float
    end: float
    symbol: str

    @property
    def centre(self) -> float:
        return (self.start + self.end) / 2

    @property
    def half(self) -> float:
        return (self.end - self.start) / 2


def articulate(
    phones: tuple[Phone, ...], start: float, end: float, strength: float, loudness: Floats
) -> Mouth:
    """Mouth tracks from `start` to `end`.

    `strength` (about 0.85..1.15) scales how far jaw and lips travel; `loudness` (n,) does so over time, on
    the points of `grid(start, end)`.
    """
    times = grid(start, end)
    gestures = _gestures(phones, strength)
    blend = _blend(gestures, times)
    columns = articulator_of_columns()
    opening = np.isin(columns, (_number("jaw"), _number("lips")))
    blend[:, opening] *= loudness[:, None]
    blend = gaussian_filter1d(blend, SMOOTHING / STEP, axis=0, mode="nearest")
    closures = []
    for gesture in gestures:
        if gesture.viseme.grip > 0:
            _grip(blend, gesture, times)
        if gesture.symbol in BILABIALS:
            closures.append(_tightest(gesture))
    return Mouth(np.clip(blend, 0.0, 1.0), start, tuple(closures))


def grid(start: float, end: float) -> Floats:
    """Times of the inner grid's points."""
    return np.asarray(start + STEP * (np.arange(round((end - start) / STEP)) + 0.5))


def _number(group: str) -> int:
    return list(GROUPS).index(group)


def _gestures(phones: tuple[Phone, ...], strength: float) -> list[_Gesture]:
    table, gestures = load_visemes(), list[_Gesture]()
    targets = {name: _scaled(viseme_target(viseme), strength) for name, viseme in table.items()}
    for phone in phones:
        names = DIPHTHONGS.get(phone.symbol, (phone.symbol,))
        middle = phone.start + DIPHTHONG_SHARE * (phone.end - phone.start)
        spans = (
            [(phone.start, phone.end)] if len(names) == 1 else [(phone.start, middle), (middle, phone.end)]
        )
        for name, (begin, stop) in zip(names, spans, strict=True):
            gestures.append(_Gesture(table[name], targets[name], begin, stop, name))
    return gestures


def _scaled(target: Floats, strength: float) -> Floats:
    """Scale everything that opens or shapes the mouth; what seals it stays as it is."""
    sealing = np.array([name.startswith(("mouthPress", "mouthRoll", "mouthClose")) for name in ARKIT_NAMES])
    return np.where(sealing, target, target * strength)


def _blend(gestures: list[_Gesture], times: Floats) -> Floats:
    columns = articulator_of_columns()
    rest = viseme_target(load_visemes()[SILENCE])
    tracks = np.zeros((len(times), len(ARKIT_NAMES)))
    for number, group in enumerate(GROUPS):
        held = np.flatnonzero(columns == number)
        weight = np.full(len(times), 1e-4)
        total = weight[:, None] * rest[held]
        for gesture in gestures:
            near = slice(*np.searchsorted(times, (gesture.start - 0.35, gesture.end + 0.3)))
            pull = gesture.viseme.strengths[number] * _dominance(gesture, times[near], group)
            weight[near] += pull
            total[near] += pull[:, None] * gesture.target[held]
        tracks[:, held] = total / weight[:, None]
    return tracks


def _dominance(gesture: _Gesture, times: Floats, group: str) -> Floats:
    """1 on the inner part of the gesture, Gaussian flanks; long sounds and silences let go 60 ms early."""
    flat = max(0.4 * gesture.half, gesture.half - 0.06)
    before = np.maximum(0.0, gesture.centre - flat - times) / ANTICIPATION[group]
    after = np.maximum(0.0, times - gesture.centre - flat) / CARRY_OVER[group]
    return np.asarray(np.exp(-0.5 * (before**2 + after**2)))


def _tightest(gesture: _Gesture) -> float:
    """A stop is tight before its burst, a nasal at its middle."""
    return gesture.centre if gesture.symbol == "M" else gesture.start + 0.45 * (gesture.end - gesture.start)


def _grip(blend: Floats, gesture: _Gesture, times: Floats) -> None:
    """Lay a sound that must be reached over the blend, in place: flat top, raised-cosine flanks."""
    middle = _tightest(gesture) if gesture.symbol in BILABIALS else gesture.centre
    hold = min(max(HOLD, 0.55 * gesture.half), 0.06)
    near = slice(*np.searchsorted(times, (middle - hold - RAMP, middle + hold + RAMP)))
    outside = np.clip((np.abs(times[near] - middle) - hold) / RAMP, 0.0, 1.0)
    gate = (gesture.viseme.grip * (0.5 + 0.5 * np.cos(np.pi * outside)))[:, None]
    columns = articulator_of_columns()
    under = blend[near]
    target = np.where(columns[None] >= 0, gesture.target[None], under)
    # Rounding and spreading live on through a consonant; a funnel would part the lips, so little of it does.
    for group, share in (("round", 0.6), ("spread", 0.7)):
        held = columns == _number(group)
        target[:, held] = np.maximum(target[:, held], share * under[:, held])
    if gesture.symbol in BILABIALS:
        target = _sealed(target, under)
    blend[near] = under + gate * (target - under)


def _sealed(target: Floats, under: Floats) -> Floats:
    """Closed lips over a jaw that stays a little open; mouthClose takes up the jaw exactly."""
    jaw, close, funnel = (ARKIT_NAMES.index(name) for name in ("jawOpen", "mouthClose", "mouthFunnel"))
    target = target.copy()
    target[:, jaw] = np.minimum(0.3 * under[:, jaw], 0.12)
    target[:, close] = target[:, jaw]
    target[:, funnel] *= 0.3
    return target
