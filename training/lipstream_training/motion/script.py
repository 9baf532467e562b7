"""A clip's worth of speech and the face that says it, from a seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..speech.acoustics import simulate_recording
from ..speech.phones import (
    SAMPLE_RATE,
    SILENCE,
    Phone,
    Speech,
    SpeechError,
    merge_silence,
)
from ..speech.recordings import librivox_sentences
from ..speech.sentences import pick
from ..speech.voices import (
    HELDOUT_VOICES,
    TRAIN_VOICES,
    VoiceVariation,
    random_voice,
    speak,
)
from .animation import Animation, animate
from .gestures import FPS

SAMPLES_PER_FRAME = round(SAMPLE_RATE / FPS)
CONTEXT = 0.6
"""Seconds of phones kept on either side of a clip that was cut from longer speech."""


MouthPredictor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Sound (N,) -> the mouth (T, 52) that it lets expect."""


def make_clip(
    seed: int,
    seconds: float,
    split: str = "train",
    voice: str | None = None,
    mouth_predictor: MouthPredictor | None = None,
) -> tuple[Speech, Animation]:
    """`round(25 seconds)` frames of animation and exactly 640 samples of audio for each.

    `split`: "train" or "heldout", each with its own voices and sentences; `voice` overrides the draw. The
    face follows the clean speech; the audio returned is the simulate_recording one (level, room, noise). With a
    `mouth_predictor` the mouth is what that makes of the recording, and all else of the clip as it is without.
    """
    rng = np.random.default_rng([seed, 7])
    n_frames = round(seconds * FPS)
    voices = TRAIN_VOICES if split == "train" else HELDOUT_VOICES
    speech = _talk(n_frames * SAMPLES_PER_FRAME, split, voice or random_voice(voices, rng), rng)
    gestures = copy.deepcopy(rng)
    animation = animate(speech, n_frames, rng)
    audio = simulate_recording(speech.audio, rng)
    if mouth_predictor is not None:
        animation = animate(speech, n_frames, gestures, mouth=mouth_predictor(audio))
    return replace(speech, audio=audio), animation


def _talk(samples: int, split: str, voice: str, rng: np.random.Generator) -> Speech:
    """Utterances and pauses, cut to `samples`; often starting in mid-sentence."""
    utterances = _utterances(split, voice, rng)
    parts = [_pause(float(rng.choice((0.1, 0.3, 0.8), p=(0.5, 0.3, 0.2))), voice)]
    first = next(utterances)
    parts += [first, _pause(_breath(rng), voice)]
    skip = float(rng.uniform(0, first.seconds)) if rng.random() < 0.6 else 0.0
    # A second more than needed, so that the mouth knows what comes after the cut.
    while sum(len(part.audio) for part in parts) < samples + (skip + 1.0) * SAMPLE_RATE:
        parts += [next(utterances), _pause(_breath(rng), voice)]
    return cut(joined(parts), round(skip * SAMPLE_RATE), samples)


def _utterances(split: str, voice: str, rng: np.random.Generator) -> Iterator[Speech]:
    variation = VoiceVariation.sample(rng)
    while True:
        if voice == "librivox":
            for number in rng.permutation(len(librivox_sentences())):
                yield _levelled(librivox_sentences()[number], rng)
        else:
            yield _levelled(speak(pick(split, rng), voice, rng, variation), rng)


def _breath(rng: np.random.Generator) -> float:
    """Length of a pause between utterances: mostly short, at times up to two seconds."""
    return float(rng.uniform(1.0, 2.0) if rng.random() < 0.15 else rng.uniform(0.1, 0.7))


def _pause(seconds: float, voice: str) -> Speech:
    samples = round(seconds * SAMPLE_RATE)
    return Speech(np.zeros(samples, np.float32), (Phone(SILENCE, 0.0, samples / SAMPLE_RATE),), voice)


def _levelled(speech: Speech, rng: np.random.Generator) -> Speech:
    """Peak 0.35..0.8, another for each utterance."""
    peak = max(1e-3, float(np.abs(speech.audio).max()))
    return replace(speech, audio=np.asarray(speech.audio / peak * rng.uniform(0.35, 0.8), np.float32))


def joined(parts: list[Speech]) -> Speech:
    """One after the other, on one clock."""
    if not parts:
        raise SpeechError("expected at least one piece of speech to join, got none")
    starts = np.cumsum([0, *(len(part.audio) for part in parts)]) / SAMPLE_RATE
    phones = (
        phone.moved(float(at)) for part, at in zip(parts, starts, strict=False) for phone in part.phones
    )
    return Speech(np.concatenate([part.audio for part in parts]), merge_silence(phones), parts[0].voice)


def cut(speech: Speech, first: int, samples: int) -> Speech:
    """`samples` of audio from sample `first` on, with the phones around it up to CONTEXT seconds outside."""
    audio = speech.audio[first : first + samples]
    if len(audio) < samples:
        raise SpeechError(f"expected {samples} samples from {first} on, got {len(audio)}")
    phones = [phone.moved(-first / SAMPLE_RATE) for phone in speech.phones]
    end = samples / SAMPLE_RATE + CONTEXT
    kept = tuple(phone for phone in phones if phone.end > -CONTEXT and phone.start < end)
    return Speech(audio, kept, speech.voice)
