"""Gestures of a talking face: blinks, brows, head motion and gaze, from the speech's energy and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float64]

FPS = 25.0
BLINK_HOLD = 0.022
"""Half the seconds for which the lids stay closed."""


@dataclass(frozen=True)
class SpeakingStyle:
    """How one person speaks.

    Attributes:
        articulation: Factor on the travel of jaw and lips.
        smile: Blendshape weight of the smile.
        brow: Blendshape weight of raised brows.
        blink_interval: Mean seconds between blinks.
        sway: Strength of the head's sway.
        nod: Radians of a nod at the peaks of the speech.
        pose: Mean head rotation: yaw, pitch, roll in radians.
        asymmetry: How much stronger the left half of an expression is.
        restless: Share of the gaze shifts that are glances aside.
    """

    articulation: float
    smile: float
    brow: float
    blink_interval: float
    sway: float
    nod: float
    pose: tuple[float, float, float]
    asymmetry: float
    restless: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> SpeakingStyle:
        """Return a random style."""
        return cls(
            articulation=float(rng.uniform(0.88, 1.14)),
            smile=float(0.32 * rng.beta(1.1, 2.6)),
            brow=float(rng.uniform(0.15, 0.7)),
            blink_interval=float(rng.uniform(2.2, 5.0)),
            sway=float(rng.uniform(0.15, 0.6)),
            nod=float(rng.uniform(0.004, 0.014)),
            pose=(float(rng.normal(0, 0.035)), float(rng.normal(0, 0.02)), float(rng.normal(0, 0.015))),
            asymmetry=float(rng.normal(0, 0.05)),
            restless=float(rng.uniform(0.0, 0.25)),
        )


def blink_track(times: Floats, interval: float, quiet: Floats, rng: np.random.Generator) -> Floats:
    """Return the closure of the lids (T,) in [0, 1]: blinks of 150 to 250 ms, every 2 to 6 s.

    Args:
        times: (T,) in seconds.
        interval: Mean seconds between blinks.
        quiet: (T,) in [0, 1]; blinks are likelier where it is high.
        rng: Random generator.
    """
    lids, at = np.zeros(len(times)), float(rng.uniform(0.3, interval))
    while at < times[-1] + 0.3:
        near = np.flatnonzero(np.abs(times - at) < 0.35)
        if len(near) and rng.random() < 0.5:
            at = float(times[near[np.argmax(quiet[near])]])
        closing, opening = rng.uniform(0.06, 0.08), rng.uniform(0.09, 0.14)
        falling = np.clip((at - BLINK_HOLD - times) / closing, 0, 1)
        rising = np.clip((times - at - BLINK_HOLD) / opening, 0, 1)
        lids = np.maximum(lids, 0.5 + 0.5 * np.cos(np.pi * np.maximum(falling, rising)))
        at += max(1.2, float(rng.gamma(6.0, interval / 6.0)))
    return lids


def brow_track(energy: Floats, amount: float) -> Floats:
    """Return slowly rising brows (T,) for the louder half of the speech's energy (T,)."""
    lifted = np.clip((energy - 0.55) / 0.45, 0, 1)
    return np.asarray(amount * gaussian_filter1d(lifted, 2.5, mode="nearest"))


def head_motion(energy: Floats, style: SpeakingStyle, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the head's rotation (T, 3), yaw, pitch, roll in radians, and translation (T, 3) in decimetres.

    A mean-reverting sway of about two degrees, with nods of about half a degree at the peaks of the energy (T,), which
    also strengthens the sway: a part of the motion can be predicted from the audio. More motion would be unpredictable,
    and a small model renders what it cannot predict with grain.
    """
    count = len(energy)
    active = 0.45 + 0.55 * gaussian_filter1d(energy, 8.0, mode="nearest")
    size = np.array([0.026, 0.013, 0.012]) * style.sway
    rotation = np.stack([_sway(count, rng) for _ in range(3)], 1) * size * active[:, None]
    phrase = gaussian_filter1d(energy, 2.6, mode="nearest")
    rotation[:, 1] -= style.nod * (phrase - 0.4)
    rotation[:, 2] += 0.25 * style.nod * np.sign(style.asymmetry) * (gaussian_filter1d(energy, 6.0) - 0.4)
    translation = np.stack([_sway(count, rng) for _ in range(3)], 1) * 0.012 * style.sway
    return np.clip(rotation, -0.06, 0.06) + np.array(style.pose), translation


def gaze_track(times: Floats, restless: float, rng: np.random.Generator) -> Floats:
    """Return the gaze (T, 2), yaw and pitch in radians: mostly at the viewer, with some glances aside.

    Args:
        times: (T,) in seconds.
        restless: Share of the glances.
        rng: Random generator.
    """
    gaze, at = np.zeros((len(times), 2)), float(rng.uniform(0, 1.5))
    while at < times[-1]:
        length = float(rng.uniform(0.5, 2.2))
        aim = rng.normal(0, (0.09, 0.045)) if rng.random() < restless else rng.normal(0, 0.012, 2)
        gaze[(times >= at) & (times < at + length)] = np.clip(aim, -0.2, 0.2)
        at += length
    return np.asarray(gaussian_filter1d(gaze, 0.55, axis=0, mode="nearest"))


def _sway(count: int, rng: np.random.Generator) -> Floats:
    """Return smooth noise (count,) of unit variance and about 0.4 Hz, softly clipped at two standard deviations."""
    noise = gaussian_filter1d(rng.normal(0, 1, count + 120), 10.0)[60 : 60 + count]
    return np.asarray(2.0 * np.tanh(noise * np.sqrt(2 * np.sqrt(np.pi) * 10.0) / 2.0))
