"""From each synthesiser's phone alphabet to ARPAbet."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .phones import (
    SILENCE,
    SYMBOLS,
    Phone,
    merge_silence,
)

FLITE = {
    "ax": "AH", "axr": "ER", "dx": "D", "el": "L", "em": "M", "en": "N", "hv": "HH", "nx": "N", "ix": "IH",
}  # fmt: skip
"""Names of flite's radio phone set that are not ARPAbet in small letters."""
IPA = """
P: p   B: b   M: m   F: f   V: v ʋ   TH: θ   DH: ð   T: t   D: d ɾ T   N: n ɳ   S: s   Z: z
SH: ʃ ʂ ɕ S   ZH: ʒ ʑ   CH: tʃ ʧ   JH: dʒ ʤ   K: k x   G: g ɡ   NG: ŋ   L: l ɫ ɬ   R: r ɹ ɻ ɽ
W: w ʍ   Y: j   HH: h ɦ ʔ ç   IY: i   IH: ɪ ᵻ ɨ ʏ   EH: e ɛ ε   AE: æ a   AH: ɐ ə ᵊ ʌ ɘ ɵ ɤ
AA: ɑ ɒ   AO: ɔ   UH: ʊ   UW: u ʉ y   ER: ɜ ɝ ɚ ø œ ɜɹ əɹ   EY: eɪ A   AY: aɪ ɑɪ ʌɪ I
AW: aʊ ɑʊ ʌʊ æʊ W   OY: ɔɪ oɪ Y   OW: oʊ əʊ o O Q   N+Y: ɲ   T+S: ʦ   D+Z: ʣ   AH+L: əl
UH+AH: ʊə   IY+AH: iə   EH+AH: eə   IH+AH: ɪə   AY+AH: aɪə   AY+ER: aɪɚ   AW+AH: aʊə   AW+ER: aʊɚ
EH+R: ɛɹ   IH+R: ɪɹ   UH+R: ʊɹ   AO+R: ɔɹ oɹ   AA+R: ɑɹ
"""
"""IPA as espeak writes it and misaki's capitals for diphthongs (and T, S for a flap and a weak sh)."""
LENGTH = frozenset("_ːˑ̩̯̃ʰʲˤ˞")
SHARES = dict.fromkeys(LENGTH, 1.0) | {"_": 0.0, "ˈ": 0.0, "ˌ": 0.0} | dict.fromkeys(" '-|", 0.5)
"""How much of a mark's time belongs to the sound before it, as measured on both neural voices."""
PAUSES = frozenset(',.;:!?…—"()“”^$')
SHORT_PAUSE = 0.045
"""A pause mark shorter than this many seconds is only a gap between words."""


def flite_symbol(name: str) -> str:
    """flite's name to ARPAbet; pauses, breaths and the unknown become SIL."""
    symbol = FLITE.get(name, name.upper())
    return symbol if symbol in SYMBOLS else SILENCE


def sphinx_symbol(name: str) -> str:
    """A CMU dictionary phone to ARPAbet; noise and silence fillers become SIL."""
    symbol = name.rstrip("012")
    return symbol if symbol in SYMBOLS else SILENCE


@functools.cache
def ipa_table() -> dict[str, tuple[str, ...]]:
    """IPA to ARPAbet, several symbols where a sign stands for several sounds."""
    table: dict[str, tuple[str, ...]] = {}
    symbols: tuple[str, ...] = ()
    for word in IPA.split():
        if word.endswith(":"):
            symbols = tuple(word[:-1].split("+"))
        else:
            table[word] = symbols
    return table


@dataclass
class _Sign:
    """`text` is empty for a pause; `joins` tells whether it may be one sound with the sign before."""

    text: str
    start: float
    end: float
    joins: bool


def phones_from_ipa(signs: Iterable[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """Timed IPA characters to phones: affricates and diphthongs joined, marks' time given away.

    `signs`: (one character, start, end) in seconds, in order, without gaps.
    """
    folded = _fold(signs)
    table, phones, at = ipa_table(), list[Phone](), 0
    while at < len(folded):
        size = next((n for n in (3, 2, 1) if _text(folded, at, n) in table), 0)
        symbols = table[_text(folded, at, size)] if size else (SILENCE,)
        size = max(1, size)
        phones += _spread(symbols, folded[at].start, folded[at + size - 1].end)
        at += size
    return merge_silence(phones)


def _fold(signs: Iterable[tuple[str, float, float]]) -> list[_Sign]:
    """Drop the marks and give their time away by SHARES; short pauses count as a space."""
    kept: list[_Sign] = []
    edge, broken = 0.0, True
    for number, (text, start, end) in enumerate(signs):
        edge = edge if number else start
        pause = text in PAUSES
        mark = " " if pause and end - start < SHORT_PAUSE else text
        if mark in SHARES and kept:
            edge += SHARES[mark] * (end - edge)
            kept[-1].end = edge
            broken = broken or mark not in LENGTH
        elif mark not in SHARES:
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
