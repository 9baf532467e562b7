"""Phones with times, speech made of them, and the way from each synthesiser's alphabet to ARPAbet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from lipstream_models.errors import LipstreamError

SAMPLE_RATE = 16000
SILENCE = "SIL"

VOWELS = frozenset(["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"])
CONSONANTS = frozenset(
    [
        "B",
        "CH",
        "D",
        "DH",
        "F",
        "G",
        "HH",
        "JH",
        "K",
        "L",
        "M",
        "N",
        "NG",
        "P",
        "R",
        "S",
        "SH",
        "T",
        "TH",
        "V",
        "W",
        "Y",
        "Z",
        "ZH",
    ]
)
SYMBOLS = VOWELS | CONSONANTS | {SILENCE}
BILABIALS = frozenset(["P", "B", "M"])


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


_FLITE = {
    "ax": "AH",
    "axr": "ER",
    "dx": "D",
    "el": "L",
    "em": "M",
    "en": "N",
    "hv": "HH",
    "nx": "N",
    "ix": "IH",
}
_IPA_WORDS = """
    p P, b B, m M, f F, v V, ʋ V, θ TH, ð DH, t T, d D, n N, ɾ D, ɳ N, ɲ N Y, s S, z Z, ʃ SH, ʒ ZH, ʂ SH, ɕ SH, ʑ ZH,
    tʃ CH, ʧ CH, dʒ JH, ʤ JH, k K, g G, ɡ G, x K, ç HH, ŋ NG, l L, ɫ L, ɬ L, r R, ɹ R, ɻ R, ɽ R, w W, ʍ W, j Y, h HH, ɦ HH, ʔ HH,
    i IY, ɪ IH, ᵻ IH, ɨ IH, ʏ IH, y UW, e EH, ɛ EH, ε EH, æ AE, a AE, ɐ AH, ə AH, ᵊ AH, ʌ AH, ɑ AA, ɒ AA, ɔ AO, o OW, ʊ UH, u UW,
    ʉ UW, ɜ ER, ɝ ER, ɚ ER, ɘ AH, ɵ AH, ɤ AH, ø ER, œ ER, ɜɹ ER, əɹ ER,
    eɪ EY, eɪ EY, aɪ AY, aʊ AW, ɔɪ OY, oɪ OY, oʊ OW, əʊ OW, ɑɪ AY, ɑʊ AW, ʌɪ AY, ʌʊ AW, æʊ AW, əl AH L, ʊə UH AH, iə IY AH,
    eə EH AH, ɪə IH AH, aɪə AY AH, aɪɚ AY ER, aʊə AW AH, aʊɚ AW ER, ɛɹ EH R, ɪɹ IH R, ʊɹ UH R, ɔɹ AO R, oɹ AO R, ɑɹ AA R,
    A EY, I AY, O OW, Q OW, W AW, Y OY, T D, S SH, ʦ T S, ʣ D Z
"""
_LENGTH = frozenset("_ːˑ̩̯̃ʰʲˤ˞")
_SHARES = dict.fromkeys(_LENGTH, 1.0) | {"_": 0.0, "ˈ": 0.0, "ˌ": 0.0} | dict.fromkeys(" '-|", 0.5)
"""How much of a mark's time belongs to the sound before it, as measured on both neural voices."""
_PAUSE = frozenset(',.;:!?…—"()“”^$')
SHORT_PAUSE = 0.045
"""A pause mark shorter than this many seconds is shared out to its neighbours."""


def flite_symbol(name: str) -> str:
    """flite's (radio phone set) name to ARPAbet; pauses, breaths and the unknown become SIL."""
    symbol = _FLITE.get(name, name.upper())
    return symbol if symbol in SYMBOLS else SILENCE


def sphinx_symbol(name: str) -> str:
    """A CMU dictionary phone to ARPAbet; noise and silence fillers become SIL."""
    symbol = name.rstrip("012")
    return symbol if symbol in SYMBOLS else SILENCE


def ipa_table() -> dict[str, tuple[str, ...]]:
    """IPA (espeak's and misaki's) to ARPAbet, several symbols where a sign stands for several sounds."""
    pairs = (entry.split() for entry in _IPA_WORDS.replace("\n", " ").split(",") if entry.strip())
    return {sign: tuple(symbols) for sign, *symbols in pairs}


@dataclass
class _Sign:
    text: str
    start: float
    end: float
    joins: bool


def phones_from_ipa(signs: Iterable[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """Timed IPA characters to phones: affricates and diphthongs joined, marks shared out to their neighbours.

    `signs`: (one character, start, end) in seconds, in order, without gaps.
    """
    folded = _fold(signs)
    table, phones, at = ipa_table(), list[Phone](), 0
    while at < len(folded):
        size = next((n for n in (3, 2, 1) if _text(folded, at, n) in table), 0)
        if size == 0:
            phones.append(Phone(SILENCE, folded[at].start, folded[at].end))
            at += 1
            continue
        phones += _spread(table[_text(folded, at, size)], folded[at].start, folded[at + size - 1].end)
        at += size
    return merge_silence(phones)


def _fold(signs: Iterable[tuple[str, float, float]]) -> list[_Sign]:
    """Drop the marks and give their time away by SHARES; short pauses count as a space."""
    kept: list[_Sign] = []
    edge, broken = 0.0, True
    for number, (text, start, end) in enumerate(signs):
        edge = edge if number else start
        pause = text in _PAUSE
        mark = " " if pause and end - start < SHORT_PAUSE else text
        if mark in _SHARES and kept:
            edge += _SHARES[mark] * (end - edge)
            kept[-1].end = edge
            broken = broken or mark not in _LENGTH
        elif mark not in _SHARES:
            kept.append(_Sign("" if pause else text, edge, end, not broken and not pause))
            broken, edge = pause, end
    return kept


def _text(signs: Sequence[_Sign], at: int, size: int) -> str:
    part = signs[at : at + size]
    if len(part) < size or not all(sign.joins and sign.text for sign in part[1:]):
        return "?"
    return "".join(sign.text for sign in part)


def _spread(symbols: Sequence[str], start: float, end: float) -> list[Phone]:
    step = (end - start) / len(symbols)
    return [Phone(symbol, start + i * step, start + (i + 1) * step) for i, symbol in enumerate(symbols)]


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


def finished(
    audio: NDArray[np.float32], phones: tuple[Phone, ...], voice: str, offset: float = 0.0
) -> Speech:
    """Speech whose phones cover the audio exactly; `offset` seconds correct a voice's measured label lag."""
    total, moved = len(audio) / SAMPLE_RATE, [phone.moved(offset) for phone in phones]
    cut = [Phone(p.symbol, min(max(p.start, 0.0), total), min(p.end, total)) for p in moved]
    first, last = (cut[0].start, cut[-1].end) if cut else (0.0, 0.0)
    return Speech(
        audio, merge_silence([Phone(SILENCE, 0.0, first), *cut, Phone(SILENCE, last, total)]), voice
    )
