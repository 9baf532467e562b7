"""The speech of a clip and the face that says it, from a seed."""

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
from ..speech.sentences import random_sentence
from ..speech.voices import (
    HELDOUT_VOICES,
    TRAIN_VOICES,
    VoiceVariation,
    random_voice,
    synthesise,
)
from .animation import Animation, animate
from .gestures import FPS

SAMPLES_PER_FRAME = round(SAMPLE_RATE / FPS)
CONTEXT = 0.6
"""Seconds of phones that are kept on either side of a clip which is cut from longer speech."""
EXTRA_SECONDS = 1.0
"""Seconds of speech after the end of a clip, so that the mouth anticipates what comes next."""
MIN_PEAK = 1e-3

MouthPredictor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Maps audio (N,) at 16 kHz to the blendshapes (T, 52) of the mouth that it lets expect."""


def make_clip(
    seed: int,
    seconds: float,
    split: str = "train",
    voice: str | None = None,
    mouth_predictor: MouthPredictor | None = None,
) -> tuple[Speech, Animation]:
    """Return the speech and the animation of a clip, with exactly 640 samples for each frame.

    The face follows the clean speech; the audio that is returned is the recorded one, with level, room and noise.

    Args:
        seed: Determines the clip.
        seconds: Length of the clip.
        split: "train" or "heldout", each with its own voices and sentences.
        voice: Voice to use instead of a random one.
        mouth_predictor: Predicts the mouth from the recorded audio; everything else stays as it is without it.
    """
    rng = np.random.default_rng([seed, 7])
    n_frames = round(seconds * FPS)
    voices = TRAIN_VOICES if split == "train" else HELDOUT_VOICES
    speech = _random_speech(n_frames * SAMPLES_PER_FRAME, split, voice or random_voice(voices, rng), rng)
    before_animation = copy.deepcopy(rng)
    animation = animate(speech, n_frames, rng)
    audio = simulate_recording(speech.audio, rng)
    if mouth_predictor is not None:
        animation = animate(speech, n_frames, before_animation, mouth=mouth_predictor(audio))
    return replace(speech, audio=audio), animation


def _random_speech(samples: int, split: str, voice: str, rng: np.random.Generator) -> Speech:
    """Return utterances and pauses of a voice, cut to a length; often they start in mid-sentence."""
    utterances = _random_utterances(split, voice, rng)
    parts = [_pause(float(rng.choice((0.1, 0.3, 0.8), p=(0.5, 0.3, 0.2))), voice)]
    first = next(utterances)
    parts += [first, _pause(_random_pause(rng), voice)]
    skip = float(rng.uniform(0, first.seconds)) if rng.random() < 0.6 else 0.0
    while sum(len(part.audio) for part in parts) < samples + (skip + EXTRA_SECONDS) * SAMPLE_RATE:
        parts += [next(utterances), _pause(_random_pause(rng), voice)]
    return cut_speech(concatenate_speech(parts), round(skip * SAMPLE_RATE), samples)


def _random_utterances(split: str, voice: str, rng: np.random.Generator) -> Iterator[Speech]:
    variation = VoiceVariation.sample(rng)
    while True:
        if voice == "librivox":
            for number in rng.permutation(len(librivox_sentences())):
                yield _at_random_level(librivox_sentences()[number], rng)
        else:
            yield _at_random_level(synthesise(random_sentence(split, rng), voice, rng, variation), rng)


def _random_pause(rng: np.random.Generator) -> float:
    """Return the seconds of a pause between utterances: mostly short, at times up to two seconds."""
    return float(rng.uniform(1.0, 2.0) if rng.random() < 0.15 else rng.uniform(0.1, 0.7))


def _pause(seconds: float, voice: str) -> Speech:
    samples = round(seconds * SAMPLE_RATE)
    return Speech(np.zeros(samples, np.float32), (Phone(SILENCE, 0.0, samples / SAMPLE_RATE),), voice)


def _at_random_level(speech: Speech, rng: np.random.Generator) -> Speech:
    """Return speech with a random peak of 0.35 to 0.8."""
    peak = max(MIN_PEAK, float(np.abs(speech.audio).max()))
    return replace(speech, audio=np.asarray(speech.audio / peak * rng.uniform(0.35, 0.8), np.float32))


def concatenate_speech(parts: list[Speech]) -> Speech:
    """Return pieces of speech one after the other.

    Raises:
        SpeechError: There are none.
    """
    if not parts:
        raise SpeechError("expected at least one piece of speech to concatenate, got none")
    starts = np.cumsum([0, *(len(part.audio) for part in parts)]) / SAMPLE_RATE
    phones = (
        phone.moved(float(at)) for part, at in zip(parts, starts, strict=False) for phone in part.phones
    )
    return Speech(np.concatenate([part.audio for part in parts]), merge_silence(phones), parts[0].voice)


def cut_speech(speech: Speech, first: int, samples: int) -> Speech:
    """Return a piece of speech, with the phones up to `CONTEXT` seconds outside of it.

    Args:
        speech: The speech.
        first: Its first sample.
        samples: Its length.

    Raises:
        SpeechError: The speech is too short.
    """
    audio = speech.audio[first : first + samples]
    if len(audio) < samples:
        raise SpeechError(f"expected {samples} samples from sample {first} on, got {len(audio)}")
    phones = [phone.moved(-first / SAMPLE_RATE) for phone in speech.phones]
    end = samples / SAMPLE_RATE + CONTEXT
    near = tuple(phone for phone in phones if phone.end > -CONTEXT and phone.start < end)
    return Speech(audio, near, speech.voice)
