"""The voices of training and of evaluation, and synthesis at a given speed and pitch."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample_poly

from .espeak import shared_espeak
from .phones import Speech, SpeechError
from .synthesisers import (
    Flite,
    Hibari,
    Piper,
    Synthesiser,
)

TRAIN_VOICES: dict[str, float] = {
    "hibari": 0.34, "joe": 0.30, "flite:slt": 0.05, "flite:rms": 0.07, "flite:kal16": 0.03,
    "espeak:en-us+m3": 0.03, "espeak:en-us+m7": 0.03, "espeak:en-us+f4": 0.03,
    "espeak:en-gb-x-gbclan+m1": 0.03, "espeak:en-gb-x-gbcwmd+f2": 0.03,
    "espeak:en-gb-x-rp+m5": 0.03, "espeak:en-029+m4": 0.03,
}  # fmt: skip
"""Training voices with their shares; the two natural ones have most."""

HELDOUT_VOICES: dict[str, float] = {
    "flite:awb": 0.4, "espeak:en-gb-scotland+f3": 0.1, "espeak:en-us+m2": 0.1, "librivox": 0.4,
}  # fmt: skip
"""Voices that are not in the training data, with their shares; "librivox" is a human reader, see `recordings`."""


@dataclass(frozen=True)
class VoiceVariation:
    """A variation of a voice.

    Attributes:
        speed: Factor on the voice's own speed.
        pitch: Factor on pitch and formants.
    """

    speed: float = 1.0
    pitch: float = 1.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> VoiceVariation:
        """Return a random variation."""
        wide = 0.2 if rng.random() < 0.2 else 0.12
        return cls(speed=float(rng.uniform(0.85, 1.22)), pitch=float(np.exp(rng.uniform(-wide, wide))))


def synthesise(
    text: str, voice: str, rng: np.random.Generator, variation: VoiceVariation | None = None
) -> Speech:
    """Return the speech of a text.

    Args:
        text: The text.
        voice: A key of `TRAIN_VOICES` or `HELDOUT_VOICES` other than "librivox".
        rng: Random generator.
        variation: Variation of the voice; the voice as it is by default.

    Raises:
        SpeechError: The voice does not exist, or its program or package is not installed.
    """
    variation = variation or VoiceVariation()
    # Resampling by the pitch factor changes the speed too, so the synthesiser only adds the rest.
    speed = variation.speed / variation.pitch
    if voice.startswith("espeak:"):
        pitch, spread = int(rng.integers(35, 65)), int(rng.integers(35, 70))
        speech = shared_espeak().synthesise(text, voice.removeprefix("espeak:"), speed, pitch, spread)
    else:
        speech = load_synthesiser(voice).synthesise(text, speed, rng)
    return _resampled(speech, variation.pitch)


@functools.cache
def load_synthesiser(voice: str) -> Synthesiser:
    """Return the synthesiser of a voice; it stays loaded as long as the process runs.

    Raises:
        SpeechError: The voice does not exist, or its program or package is not installed.
    """
    if voice == "hibari":
        return Hibari()
    if voice == "joe":
        return Piper(shared_espeak())
    if voice.startswith("flite:"):
        return Flite(voice.removeprefix("flite:"))
    raise SpeechError(f"expected one of {sorted({**TRAIN_VOICES, **HELDOUT_VOICES})}, got {voice!r}")


def random_voice(voices: dict[str, float], rng: np.random.Generator) -> str:
    """Return a random voice, by its share."""
    weights = np.array(list(voices.values()))
    return list(voices)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _resampled(speech: Speech, factor: float) -> Speech:
    """Return speech with pitch and formants multiplied by a factor, and times divided by it."""
    down = round(factor * 100)
    if down == 100:
        return speech
    audio = np.asarray(resample_poly(speech.audio, 100, down), np.float32)
    phones = tuple(phone.moved(0.0, 100 / down) for phone in speech.phones)
    return Speech(audio, phones, speech.voice)
