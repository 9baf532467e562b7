"""From phones to mouth tracks: targets blended by dominance, and closures that are reached however short they are.

Dominance blending after Cohen and Massaro (1993), for each articulator, with Gaussian flanks. A short lip closure has
to be reached and not only approached, so it is laid over the blend as a gate with a flat top.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..speech.phones import BILABIALS, SILENCE, Phone
from .visemes import (
    ARKIT_NAMES,
    ARTICULATORS,
    DIPHTHONGS,
    Viseme,
    articulator_of_columns,
    load_visemes,
    viseme_target,
)

Floats = NDArray[np.float64]

STEP = 0.005
"""Seconds between points of the time grid."""
SMOOTHING = 0.016
"""Standard deviation in seconds of the low-pass filter after blending (3 dB at 8 Hz)."""
ANTICIPATION = {"jaw": 0.050, "round": 0.085, "spread": 0.065, "lips": 0.045, "tongue": 0.040}
CARRY_OVER = {"jaw": 0.048, "round": 0.065, "spread": 0.058, "lips": 0.042, "tongue": 0.035}
"""Standard deviations in seconds of an articulator's flanks before and after a phone."""
DIPHTHONG_SHARE = 0.55
"""Share of a diphthong's time that its first viseme has."""
MIN_HOLD = 0.022
"""Smallest half-width in seconds of a closure's flat top: the centre of a 25 fps frame is always on it."""
MAX_HOLD = 0.06
RAMP = 0.058
"""Seconds of a closure's flanks."""


@dataclass(frozen=True)
class MouthTracks:
    """Blendshapes of a mouth over time.

    Attributes:
        tracks: (n, 52) every `STEP` seconds.
        start: Time of the grid's beginning in seconds.
        closures: Times in seconds at which /p/, /b/ and /m/ are tightest.
    """

    tracks: Floats
    start: float
    closures: tuple[float, ...]


@dataclass(frozen=True)
class PhoneGesture:
    """A viseme with its target (52,) and its time in seconds."""

    viseme: Viseme
    target: Floats
    start: float
    end: float
    symbol: str

    @property
    def centre(self) -> float:
        """Time of the middle in seconds."""
        return (self.start + self.end) / 2

    @property
    def half(self) -> float:
        """Half the length in seconds."""
        return (self.end - self.start) / 2


def articulate(
    phones: tuple[Phone, ...], start: float, end: float, strength: float, loudness: Floats
) -> MouthTracks:
    """Return the mouth tracks of phones.

    Args:
        phones: The phones.
        start: First time in seconds.
        end: Last time in seconds.
        strength: Factor on the travel of jaw and lips, about 0.85 to 1.15.
        loudness: (n,) a further factor at each point of `time_grid`.
    """
    times = time_grid(start, end)
    gestures = _phone_gestures(phones, strength)
    blend = _blend(gestures, times)
    columns = articulator_of_columns()
    opening = np.isin(columns, (_articulator("jaw"), _articulator("lips")))
    blend[:, opening] *= loudness[:, None]
    blend = gaussian_filter1d(blend, SMOOTHING / STEP, axis=0, mode="nearest")
    closures = []
    for gesture in gestures:
        if gesture.viseme.grip > 0:
            _apply_grip(blend, gesture, times)
        if gesture.symbol in BILABIALS:
            closures.append(_closure_time(gesture))
    return MouthTracks(np.clip(blend, 0.0, 1.0), start, tuple(closures))


def time_grid(start: float, end: float) -> Floats:
    """Return the times (n,) of the grid's points in seconds."""
    return np.asarray(start + STEP * (np.arange(round((end - start) / STEP)) + 0.5))


def _articulator(name: str) -> int:
    """Return an articulator's number."""
    return list(ARTICULATORS).index(name)


def _phone_gestures(phones: tuple[Phone, ...], strength: float) -> list[PhoneGesture]:
    """Return one gesture per phone, two per diphthong."""
    table, gestures = load_visemes(), list[PhoneGesture]()
    targets = {name: _scaled(viseme_target(viseme), strength) for name, viseme in table.items()}
    for phone in phones:
        names = DIPHTHONGS.get(phone.symbol, (phone.symbol,))
        middle = phone.start + DIPHTHONG_SHARE * (phone.end - phone.start)
        spans = (
            [(phone.start, phone.end)] if len(names) == 1 else [(phone.start, middle), (middle, phone.end)]
        )
        for name, (start, end) in zip(names, spans, strict=True):
            gestures.append(PhoneGesture(table[name], targets[name], start, end, name))
    return gestures


def _scaled(target: Floats, strength: float) -> Floats:
    """Return a target (52,) with everything scaled that opens or shapes the mouth, but not what seals it."""
    sealing = np.array([name.startswith(("mouthPress", "mouthRoll", "mouthClose")) for name in ARKIT_NAMES])
    return np.where(sealing, target, target * strength)


def _blend(gestures: list[PhoneGesture], times: Floats) -> Floats:
    """Return the tracks (n, 52) of gestures at times (n,), weighted by their dominance."""
    columns = articulator_of_columns()
    rest = viseme_target(load_visemes()[SILENCE])
    tracks = np.zeros((len(times), len(ARKIT_NAMES)))
    for number, articulator in enumerate(ARTICULATORS):
        moved = np.flatnonzero(columns == number)
        weight = np.full(len(times), 1e-4)
        total = weight[:, None] * rest[moved]
        for gesture in gestures:
            near = slice(*np.searchsorted(times, (gesture.start - 0.35, gesture.end + 0.3)))
            pull = gesture.viseme.strengths[number] * _dominance(gesture, times[near], articulator)
            weight[near] += pull
            total[near] += pull[:, None] * gesture.target[moved]
        tracks[:, moved] = total / weight[:, None]
    return tracks


def _dominance(gesture: PhoneGesture, times: Floats, articulator: str) -> Floats:
    """Return a gesture's dominance at times (n,): 1 on its inner part, with Gaussian flanks.

    The inner part of long phones and silences ends 60 ms before they do.
    """
    flat = max(0.4 * gesture.half, gesture.half - 0.06)
    before = np.maximum(0.0, gesture.centre - flat - times) / ANTICIPATION[articulator]
    after = np.maximum(0.0, times - gesture.centre - flat) / CARRY_OVER[articulator]
    return np.asarray(np.exp(-0.5 * (before**2 + after**2)))


def _closure_time(gesture: PhoneGesture) -> float:
    """Return when a bilabial is tightest: a stop before its burst, a nasal at its middle."""
    return gesture.centre if gesture.symbol == "M" else gesture.start + 0.45 * (gesture.end - gesture.start)


def _apply_grip(blend: Floats, gesture: PhoneGesture, times: Floats) -> None:
    """Lay a gesture that must be reached over tracks (n, 52) at times (n,), in place.

    The gate has a flat top and raised-cosine flanks.
    """
    middle = _closure_time(gesture) if gesture.symbol in BILABIALS else gesture.centre
    hold = min(max(MIN_HOLD, 0.55 * gesture.half), MAX_HOLD)
    near = slice(*np.searchsorted(times, (middle - hold - RAMP, middle + hold + RAMP)))
    outside = np.clip((np.abs(times[near] - middle) - hold) / RAMP, 0.0, 1.0)
    gate = (gesture.viseme.grip * (0.5 + 0.5 * np.cos(np.pi * outside)))[:, None]
    columns = articulator_of_columns()
    under = blend[near]
    target = np.where(columns[None] >= 0, gesture.target[None], under)
    # Rounding and spreading continue through a consonant, in part: a full funnel would open the lips.
    for articulator, share in (("round", 0.6), ("spread", 0.7)):
        moved = columns == _articulator(articulator)
        target[:, moved] = np.maximum(target[:, moved], share * under[:, moved])
    if gesture.symbol in BILABIALS:
        target = _sealed(target, under)
    blend[near] = under + gate * (target - under)


def _sealed(target: Floats, under: Floats) -> Floats:
    """Return targets (n, 52) with closed lips over a jaw that stays open a little; mouthClose compensates the jaw."""
    jaw, close, funnel = (ARKIT_NAMES.index(name) for name in ("jawOpen", "mouthClose", "mouthFunnel"))
    target = target.copy()
    target[:, jaw] = np.minimum(0.3 * under[:, jaw], 0.12)
    target[:, close] = target[:, jaw]
    target[:, funnel] *= 0.3
    return target
