"""The voices of training and those kept for evaluation, and speaking with one at a chosen pace and pitch."""

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
"""Voice -> how often it is drawn. The two natural voices make up most."""

HELDOUT_VOICES: dict[str, float] = {
    "flite:awb": 0.4, "espeak:en-gb-scotland+f3": 0.1, "espeak:en-us+m2": 0.1, "librivox": 0.4,
}  # fmt: skip
"""Never heard in training. "librivox" is a human reader, with words of their own (see recordings)."""


@dataclass(frozen=True)
class VoiceVariation:
    """`speed`: 1 is the voice's own pace; `pitch`: factor on pitch and formants."""

    speed: float = 1.0
    pitch: float = 1.0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> VoiceVariation:
        wide = 0.2 if rng.random() < 0.2 else 0.12
        return cls(speed=float(rng.uniform(0.85, 1.22)), pitch=float(np.exp(rng.uniform(-wide, wide))))


def speak(text: str, voice: str, rng: np.random.Generator, variation: VoiceVariation | None = None) -> Speech:
    """Say `text` with `voice` (SpeechError if its program or package is missing)."""
    variation = variation or VoiceVariation()
    # Resampling by the pitch factor also quickens the speech, so the synthesiser is asked for the rest only.
    pace = variation.speed / variation.pitch
    if voice.startswith("espeak:"):
        pitch, spread = int(rng.integers(35, 65)), int(rng.integers(35, 70))
        speech = shared_espeak().speak(text, voice.removeprefix("espeak:"), pace, pitch, spread)
    else:
        speech = synthesiser(voice).speak(text, pace, rng)
    return _resampled(speech, variation.pitch)


@functools.cache
def synthesiser(voice: str) -> Synthesiser:
    """The loaded synthesiser of a voice, kept for the life of the process."""
    if voice == "hibari":
        return Hibari()
    if voice == "joe":
        return Piper(shared_espeak())
    if voice.startswith("flite:"):
        return Flite(voice.removeprefix("flite:"))
    raise SpeechError(f"expected one of {sorted({**TRAIN_VOICES, **HELDOUT_VOICES})}, got {voice!r}")


def random_voice(voices: dict[str, float], rng: np.random.Generator) -> str:
    """One of `voices` by its weight."""
    weights = np.array(list(voices.values()))
    return list(voices)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _resampled(speech: Speech, factor: float) -> Speech:
    """Raise pitch and formants by `factor`; times shrink by it."""
    down = round(factor * 100)
    if down == 100:
        return speech
    audio = np.asarray(resample_poly(speech.audio, 100, down), np.float32)
    phones = tuple(phone.moved(0.0, 100 / down) for phone in speech.phones)
    return Speech(audio, phones, speech.voice)
