"""Speech to a talking face at 25 fps: 52 ARKit weights, head and gaze, from phones, loudness and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..speech.phones import (
    SAMPLE_RATE,
    SILENCE,
    Phone,
    Speech,
)
from .articulation import STEP, articulate, grid
from .gestures import (
    FPS,
    Style,
    blink_track,
    brow_track,
    gaze_track,
    head_motion,
)
from .visemes import ARKIT_NAMES

Floats = NDArray[np.float64]

MARGIN = 0.4
"""Seconds of mouth made before and after the clip, for the smoothing to run into."""


@dataclass(frozen=True)
class Animation:
    """T frames at 25 fps; frame i shows the moment (i + 0.5) / 25 s.

    `blendshapes` (T, 52) float32 0..1 in the order of `names`; `head_rotation` (T, 3) yaw, pitch, roll in
    radians; `head_translation` (T, 3) decimetres; `gaze` (T, 2) yaw, pitch in radians; `closures`: frames in
    which a /p b m/ is shut; `mouth` (T, 52): what the phones alone make of the blendshapes, where that was kept.
    """

    blendshapes: NDArray[np.float32]
    head_rotation: NDArray[np.float32]
    head_translation: NDArray[np.float32]
    gaze: NDArray[np.float32]
    names: tuple[str, ...]
    closures: tuple[int, ...]
    mouth: NDArray[np.float32] | None = None

    def track(self, name: str) -> NDArray[np.float32]:
        """One blendshape over time (T,)."""
        return self.blendshapes[:, self.names.index(name)]


def animate(
    speech: Speech,
    n_frames: int,
    rng: np.random.Generator,
    style: Style | None = None,
    mouth: NDArray[np.float32] | None = None,
) -> Animation:
    """The face that says `speech`, `n_frames` long; the same arguments give the same frames.

    `mouth` (T, 52): these instead of what the phones make of the blendshapes.
    """
    style = style or Style.sample(rng)
    times = frame_times(n_frames)
    start, end = -MARGIN, n_frames / FPS + MARGIN
    fine = grid(start, end)
    level = loudness(speech.audio)
    level_fine = np.interp(fine, _hops(level), level, left=0.0, right=0.0)
    travel = np.where(_voiced(speech.phones, fine), 0.78 + 0.32 * level_fine, 1.0)
    travel = gaussian_filter1d(travel, 0.04 / STEP, mode="nearest")
    articulated = articulate(speech.phones, start, end, style.articulation, travel)
    if mouth is None:
        spots = (times - articulated.start) / STEP - 0.5
        columns = [np.interp(spots, np.arange(len(fine)), column) for column in articulated.tracks.T]
        mouth = np.stack(columns, 1).astype(np.float32)
    face = mouth.astype(np.float64)
    energy = np.interp(times, _hops(level), gaussian_filter1d(level, 8.0), left=0.0, right=0.0)
    _express(face, times, energy, style, rng)
    rotation, translation = head_motion(energy, style, rng)
    frames = (int(closure * FPS) for closure in articulated.closures if 0 <= closure < n_frames / FPS)
    return Animation(
        np.clip(face, 0, 1).astype(np.float32),
        rotation.astype(np.float32),
        translation.astype(np.float32),
        gaze_track(times, style.restless, rng).astype(np.float32),
        ARKIT_NAMES,
        tuple(sorted(set(frames))),
        mouth,
    )


def frame_times(count: int) -> Floats:
    """The moments (T,) in seconds that the frames show."""
    return np.asarray((np.arange(count) + 0.5) / FPS, np.float64)


def loudness(audio: NDArray[np.float32]) -> Floats:
    """How loud the speech is against its own loud parts, 0..1, every 10 ms (centred 25 ms windows)."""
    power = np.convolve(audio.astype(np.float64) ** 2, np.ones(400) / 400, "same")[80::160]
    decibels = 10 * np.log10(power + 1e-9)
    top = np.percentile(decibels, 95) if len(decibels) else 0.0
    return np.asarray(np.clip((decibels - top + 32) / 32, 0, 1) * (top > -60))


def _hops(level: Floats) -> Floats:
    return np.asarray((np.arange(len(level)) * 160 + 80) / SAMPLE_RATE)


def _voiced(phones: tuple[Phone, ...], times: Floats) -> NDArray[np.bool_]:
    """Where something is said (n,)."""
    said = np.zeros(len(times), bool)
    for phone in phones:
        if phone.symbol != SILENCE:
            said |= (times >= phone.start) & (times < phone.end)
    return said


def _express(face: Floats, times: Floats, energy: Floats, style: Style, rng: np.random.Generator) -> None:
    """Add everything above the mouth, and the smile, to `face` in place."""
    column = {name: number for number, name in enumerate(ARKIT_NAMES)}
    lids = blink_track(times, style.blink_interval, 1 - energy, rng)
    raised = brow_track(energy, style.brow)
    sides = {"Left": 1 + style.asymmetry, "Right": 1 - style.asymmetry}
    # A smile gives way while the lips are pursed.
    pursed = np.clip(face[:, column["mouthPucker"]] + 0.6 * face[:, column["mouthFunnel"]], 0, 1)
    for side, share in sides.items():
        face[:, column[f"eyeBlink{side}"]] = lids
        face[:, column[f"eyeSquint{side}"]] = 0.15 * lids + 0.3 * style.smile
        face[:, column[f"browOuterUp{side}"]] = 0.7 * raised * share
        face[:, column[f"mouthSmile{side}"]] += style.smile * share * (1 - 0.7 * pursed)
        face[:, column[f"cheekSquint{side}"]] = 0.35 * style.smile * share
    face[:, column["browInnerUp"]] = raised
