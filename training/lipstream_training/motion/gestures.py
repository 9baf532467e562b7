"""What a speaking face does besides speaking: blink_track, brows, head and gaze, from a seed and the energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float64]

FPS = 25.0


@dataclass(frozen=True)
class Style:
    """How one person speaks. Angles in radians, the rest in blendshape weights or as named."""

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
    def sample(cls, rng: np.random.Generator) -> Style:
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
    """Lid closure 0..1 (T,): 150-250 ms each, every 2-6 s, likelier where the speech is `quiet` (0..1)."""
    lids, at = np.zeros(len(times)), float(rng.uniform(0.3, interval))
    while at < times[-1] + 0.3:
        near = np.flatnonzero(np.abs(times - at) < 0.35)
        if len(near) and rng.random() < 0.5:
            at = float(times[near[np.argmax(quiet[near])]])
        shut, hold, open_again = rng.uniform(0.06, 0.08), 0.022, rng.uniform(0.09, 0.14)
        falling = np.clip((at - hold - times) / shut, 0, 1)
        rising = np.clip((times - at - hold) / open_again, 0, 1)
        lids = np.maximum(lids, 0.5 + 0.5 * np.cos(np.pi * np.maximum(falling, rising)))
        at += max(1.2, float(rng.gamma(6.0, interval / 6.0)))
    return lids


def brow_track(energy: Floats, amount: float) -> Floats:
    """Brows rise with the louder half of the speech (T,), slowly."""
    lifted = np.clip((energy - 0.55) / 0.45, 0, 1)
    return np.asarray(amount * gaussian_filter1d(lifted, 2.5, mode="nearest"))


def head_motion(energy: Floats, style: Style, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Rotation (T, 3) yaw, pitch, roll in radians and translation (T, 3) in decimetres.

    A mean-reverting sway within about two degrees; speech drives a nod of about half a degree at its peaks and
    livens the sway, so that part of the motion can be told from the sound. No more than that: what cannot be told is what a
    small model renders with grain.
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
    """Gaze (T, 2) yaw and pitch in radians: mostly at the viewer, now and then a glance aside."""
    gaze, at = np.zeros((len(times), 2)), float(rng.uniform(0, 1.5))
    while at < times[-1]:
        stay = float(rng.uniform(0.5, 2.2))
        aim = rng.normal(0, (0.09, 0.045)) if rng.random() < restless else rng.normal(0, 0.012, 2)
        gaze[(times >= at) & (times < at + stay)] = np.clip(aim, -0.2, 0.2)
        at += stay
    return np.asarray(gaussian_filter1d(gaze, 0.55, axis=0, mode="nearest"))


def _sway(count: int, rng: np.random.Generator) -> Floats:
    """Smooth noise (T,) of unit variance and about 0.4 Hz, clipped softly at two deviations."""
    noise = gaussian_filter1d(rng.normal(0, 1, count + 120), 10.0)[60 : 60 + count]
    return np.asarray(2.0 * np.tanh(noise * np.sqrt(2 * np.sqrt(np.pi) * 10.0) / 2.0))
