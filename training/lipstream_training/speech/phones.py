"""Phones with times, and speech with its phones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from lipstream_models.errors import LipstreamError

SAMPLE_RATE = 16000
SILENCE = "SIL"

BILABIALS = frozenset(("P", "B", "M"))
VOWELS = frozenset(
    ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
)  # fmt: skip
CONSONANTS = frozenset((
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N",
    "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
))  # fmt: skip
SYMBOLS = VOWELS | CONSONANTS | {SILENCE}


class SpeechError(LipstreamError):
    """A synthesiser or its data is missing, or its result cannot be used."""


@dataclass(frozen=True)
class Phone:
    """An ARPAbet phone without stress digit, or SIL; start and end in seconds."""

    symbol: str
    start: float
    end: float

    def moved(self, offset: float, scale: float = 1.0) -> Phone:
        """Return the phone with its times scaled, and then moved by ``offset`` seconds."""
        return Phone(self.symbol, self.start * scale + offset, self.end * scale + offset)


@dataclass(frozen=True)
class Speech:
    """Speech with its phones.

    In a clip that is cut from longer speech the first and last phones may extend past the audio, so that the mouth
    knows what comes before and after.

    Attributes:
        audio: (N,) mono at 16 kHz in [-1, 1].
        phones: In order, without gaps or overlaps.
        voice: Name of the voice.
    """

    audio: NDArray[np.float32]
    phones: tuple[Phone, ...]
    voice: str

    @property
    def seconds(self) -> float:
        """Length of the audio in seconds."""
        return len(self.audio) / SAMPLE_RATE


def merge_silence(phones: Iterable[Phone]) -> tuple[Phone, ...]:
    """Return phones with adjacent silences merged and empty phones removed."""
    merged: list[Phone] = []
    for phone in phones:
        if phone.end <= phone.start:
            continue
        if merged and phone.symbol == merged[-1].symbol == SILENCE:
            merged[-1] = Phone(SILENCE, merged[-1].start, phone.end)
        else:
            merged.append(phone)
    return tuple(merged)


def to_16k(audio: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Return audio (N,) of any sample rate at 16 kHz (M,), without delay."""
    shared = int(np.gcd(rate, SAMPLE_RATE))
    return np.asarray(resample_poly(audio, SAMPLE_RATE // shared, rate // shared), np.float32)


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return PCM samples (N,) in [-1, 1]."""
    return np.asarray(samples / 32768, np.float32)


def align_to_audio(
    audio: NDArray[np.float32], phones: tuple[Phone, ...], voice: str, offset: float = 0.0
) -> Speech:
    """Return speech whose phones cover the audio exactly.

    Args:
        audio: (N,) at 16 kHz.
        phones: Its phones.
        voice: Name of the voice.
        offset: Seconds to add to the times of the phones, which corrects the voice's label lag.
    """
    total, moved = len(audio) / SAMPLE_RATE, [phone.moved(offset) for phone in phones]
    cut = [Phone(p.symbol, min(max(p.start, 0.0), total), min(p.end, total)) for p in moved]
    first, last = (cut[0].start, cut[-1].end) if cut else (0.0, 0.0)
    return Speech(
        audio, merge_silence([Phone(SILENCE, 0.0, first), *cut, Phone(SILENCE, last, total)]), voice
    )
