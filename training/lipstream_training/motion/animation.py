"""The animation of a talking face at 25 fps, from phones, loudness and a seed: blendshapes, head motion and gaze."""

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
from .articulation import STEP, articulate, time_grid
from .gestures import (
    FPS,
    SpeakingStyle,
    blink_track,
    brow_track,
    gaze_track,
    head_motion,
)
from .visemes import ARKIT_NAMES

Floats = NDArray[np.float64]

MARGIN = 0.4
"""Seconds of mouth motion before and after the clip, for the smoothing."""
LOUDNESS_HOP, LOUDNESS_WINDOW = 160, 400
"""Samples between two values of the loudness, and samples that each is measured over."""


@dataclass(frozen=True)
class Animation:
    """T frames at 25 fps; frame i shows the time (i + 0.5) / 25 s.

    Attributes:
        blendshapes: (T, 52) in [0, 1], in the order of ``names``.
        head_rotation: (T, 3) yaw, pitch, roll in radians.
        head_translation: (T, 3) in decimetres.
        gaze: (T, 2) yaw and pitch in radians.
        names: Names of the blendshapes.
        closures: Frames in which /p/, /b/ or /m/ is closed.
        mouth: (T, 52) the part of the blendshapes that follows from the phones alone, if it was kept.
    """

    blendshapes: NDArray[np.float32]
    head_rotation: NDArray[np.float32]
    head_translation: NDArray[np.float32]
    gaze: NDArray[np.float32]
    names: tuple[str, ...]
    closures: tuple[int, ...]
    mouth: NDArray[np.float32] | None = None

    def track(self, name: str) -> NDArray[np.float32]:
        """Return one blendshape over time (T,)."""
        return self.blendshapes[:, self.names.index(name)]


def animate(
    speech: Speech,
    n_frames: int,
    rng: np.random.Generator,
    style: SpeakingStyle | None = None,
    mouth: NDArray[np.float32] | None = None,
) -> Animation:
    """Return the face that says some speech; the same arguments give the same frames.

    Args:
        speech: The speech.
        n_frames: Length of the animation.
        rng: Random generator.
        style: How the person speaks; random by default.
        mouth: (T, 52) blendshapes to use instead of those that follow from the phones.
    """
    style = style or SpeakingStyle.sample(rng)
    times = frame_times(n_frames)
    start, end = -MARGIN, n_frames / FPS + MARGIN
    fine = time_grid(start, end)
    level = loudness(speech.audio)
    level_fine = np.interp(fine, _hop_times(level), level, left=0.0, right=0.0)
    travel = np.where(_is_speech(speech.phones, fine), 0.78 + 0.32 * level_fine, 1.0)
    travel = gaussian_filter1d(travel, 0.04 / STEP, mode="nearest")
    articulated = articulate(speech.phones, start, end, style.articulation, travel)
    if mouth is None:
        positions = (times - articulated.start) / STEP - 0.5
        columns = [np.interp(positions, np.arange(len(fine)), column) for column in articulated.tracks.T]
        mouth = np.stack(columns, 1).astype(np.float32)
    face = mouth.astype(np.float64)
    energy = np.interp(times, _hop_times(level), gaussian_filter1d(level, 8.0), left=0.0, right=0.0)
    _add_expression(face, times, energy, style, rng)
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
    """Return the times (T,) in seconds that the frames show."""
    return np.asarray((np.arange(count) + 0.5) / FPS, np.float64)


def loudness(audio: NDArray[np.float32]) -> Floats:
    """Return the loudness (n,) of audio (N,) in [0, 1], relative to its loud parts, every 10 ms."""
    window = np.ones(LOUDNESS_WINDOW) / LOUDNESS_WINDOW
    power = np.convolve(audio.astype(np.float64) ** 2, window, "same")[LOUDNESS_HOP // 2 :: LOUDNESS_HOP]
    decibels = 10 * np.log10(power + 1e-9)
    top = np.percentile(decibels, 95) if len(decibels) else 0.0
    return np.asarray(np.clip((decibels - top + 32) / 32, 0, 1) * (top > -60))


def _hop_times(level: Floats) -> Floats:
    """Return the times (n,) in seconds of loudness values (n,)."""
    return np.asarray((np.arange(len(level)) * LOUDNESS_HOP + LOUDNESS_HOP // 2) / SAMPLE_RATE)


def _is_speech(phones: tuple[Phone, ...], times: Floats) -> NDArray[np.bool_]:
    """Return at which times (n,) there is a phone other than silence (n,)."""
    spoken = np.zeros(len(times), bool)
    for phone in phones:
        if phone.symbol != SILENCE:
            spoken |= (times >= phone.start) & (times < phone.end)
    return spoken


def _add_expression(
    face: Floats, times: Floats, energy: Floats, style: SpeakingStyle, rng: np.random.Generator
) -> None:
    """Add eyes, brows and a smile to blendshapes (T, 52), in place.

    Args:
        face: (T, 52) blendshapes.
        times: (T,) in seconds.
        energy: (T,) smoothed loudness.
        style: How the person speaks.
        rng: Random generator.
    """
    column = {name: number for number, name in enumerate(ARKIT_NAMES)}
    lids = blink_track(times, style.blink_interval, 1 - energy, rng)
    raised = brow_track(energy, style.brow)
    sides = {"Left": 1 + style.asymmetry, "Right": 1 - style.asymmetry}
    # The smile is weaker while the lips are pursed.
    pursed = np.clip(face[:, column["mouthPucker"]] + 0.6 * face[:, column["mouthFunnel"]], 0, 1)
    for side, share in sides.items():
        face[:, column[f"eyeBlink{side}"]] = lids
        face[:, column[f"eyeSquint{side}"]] = 0.15 * lids + 0.3 * style.smile
        face[:, column[f"browOuterUp{side}"]] = 0.7 * raised * share
        face[:, column[f"mouthSmile{side}"]] += style.smile * share * (1 - 0.7 * pursed)
        face[:, column[f"cheekSquint{side}"]] = 0.35 * style.smile * share
    face[:, column["browInnerUp"]] = raised
