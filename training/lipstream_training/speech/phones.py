"""Phones with times, and speech made of them."""

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
    """A synthesiser is missing, or gave something that cannot be used."""


@dataclass(frozen=True)
class Phone:
    """One ARPAbet phone (no stress digit) or SIL, from `start` to `end` seconds."""

    symbol: str
    start: float
    end: float

    def moved(self, offset: float, scale: float = 1.0) -> Phone:
        """The phone on a clock that runs `scale` times as long and starts `offset` seconds earlier."""
        return Phone(self.symbol, self.start * scale + offset, self.end * scale + offset)


@dataclass(frozen=True)
class Speech:
    """`audio` (N,) float32 mono at 16 kHz in -1..1; `phones` in order, without gaps or overlaps.

    In a clip cut from longer speech the first and last phones may reach past the audio, so that the mouth
    knows what came before and what comes next.
    """

    audio: NDArray[np.float32]
    phones: tuple[Phone, ...]
    voice: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE


def merge_silence(phones: Iterable[Phone]) -> tuple[Phone, ...]:
    """Neighbouring silences become one, and empty phones go."""
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
    """Resample to 16 kHz (polyphase, so without delay)."""
    shared = int(np.gcd(rate, SAMPLE_RATE))
    return np.asarray(resample_poly(audio, SAMPLE_RATE // shared, rate // shared), np.float32)


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """PCM to -1..1."""
    return np.asarray(samples / 32768, np.float32)


def align_to_audio(
    audio: NDArray[np.float32], phones: tuple[Phone, ...], voice: str, offset: float = 0.0
) -> Speech:
    """Speech whose phones cover the audio exactly; `offset` seconds correct a voice's measured label lag."""
    total, moved = len(audio) / SAMPLE_RATE, [phone.moved(offset) for phone in phones]
    cut = [Phone(p.symbol, min(max(p.start, 0.0), total), min(p.end, total)) for p in moved]
    first, last = (cut[0].start, cut[-1].end) if cut else (0.0, 0.0)
    return Speech(
        audio, merge_silence([Phone(SILENCE, 0.0, first), *cut, Phone(SILENCE, last, total)]), voice
    )
