"""Conversion of each synthesiser's phone alphabet to ARPAbet."""

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
"""Names of flite's radio phone set that are not ARPAbet in lower case."""
IPA = """
P: p   B: b   M: m   F: f   V: v ʋ   TH: θ   DH: ð   T: t   D: d ɾ T   N: n ɳ   S: s   Z: z
SH: ʃ ʂ ɕ S   ZH: ʒ ʑ   CH: tʃ ʧ   JH: dʒ ʤ   K: k x   G: g ɡ   NG: ŋ   L: l ɫ ɬ   R: r ɹ ɻ ɽ
W: w ʍ   Y: j   HH: h ɦ ʔ ç   IY: i   IH: ɪ ᵻ ɨ ʏ   EH: e ɛ ε   AE: æ a   AH: ɐ ə ᵊ ʌ ɘ ɵ ɤ
AA: ɑ ɒ   AO: ɔ   UH: ʊ   UW: u ʉ y   ER: ɜ ɝ ɚ ø œ ɜɹ əɹ   EY: eɪ A   AY: aɪ ɑɪ ʌɪ I
AW: aʊ ɑʊ ʌʊ æʊ W   OY: ɔɪ oɪ Y   OW: oʊ əʊ o O Q   N+Y: ɲ   T+S: ʦ   D+Z: ʣ   AH+L: əl
UH+AH: ʊə   IY+AH: iə   EH+AH: eə   IH+AH: ɪə   AY+AH: aɪə   AY+ER: aɪɚ   AW+AH: aʊə   AW+ER: aʊɚ
EH+R: ɛɹ   IH+R: ɪɹ   UH+R: ʊɹ   AO+R: ɔɹ oɹ   AA+R: ɑɹ
"""
"""ARPAbet symbols with their IPA signs as espeak writes them, and misaki's capitals (diphthongs, T flap, S weak sh)."""
LENGTH = frozenset("_ːˑ̩̯̃ʰʲˤ˞")
SHARES = dict.fromkeys(LENGTH, 1.0) | {"_": 0.0, "ˈ": 0.0, "ˌ": 0.0} | dict.fromkeys(" '-|", 0.5)
"""Share of a mark's time that belongs to the phone before it, as measured on both neural voices."""
PAUSES = frozenset(',.;:!?…—"()“”^$')
SHORT_PAUSE = 0.045
"""Seconds below which a pause mark is only a gap between words."""


def flite_to_arpabet(name: str) -> str:
    """Return the ARPAbet symbol of flite's phone; SIL for pauses, breaths and unknown ones."""
    symbol = FLITE.get(name, name.upper())
    return symbol if symbol in SYMBOLS else SILENCE


def sphinx_to_arpabet(name: str) -> str:
    """Return the ARPAbet symbol of a CMU dictionary phone; SIL for noise and silence fillers."""
    symbol = name.rstrip("012")
    return symbol if symbol in SYMBOLS else SILENCE


@functools.cache
def ipa_table() -> dict[str, tuple[str, ...]]:
    """Return the ARPAbet symbols of each IPA sign; several where a sign stands for several phones."""
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
    """A timed IPA sign.

    Attributes:
        text: The sign, empty for a pause.
        start: Seconds.
        end: Seconds.
        joins: Whether it may be one phone with the sign before it.
    """

    text: str
    start: float
    end: float
    joins: bool


def phones_from_ipa(signs: Iterable[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """Return the phones of timed IPA characters, with affricates and diphthongs joined.

    Args:
        signs: (character, start, end) in seconds, in order and without gaps.
    """
    plain = _without_marks(signs)
    table, phones, at = ipa_table(), list[Phone](), 0
    while at < len(plain):
        size = next((n for n in (3, 2, 1) if _text(plain, at, n) in table), 0)
        symbols = table[_text(plain, at, size)] if size else (SILENCE,)
        size = max(1, size)
        phones += _equal_parts(symbols, plain[at].start, plain[at + size - 1].end)
        at += size
    return merge_silence(phones)


def _without_marks(signs: Iterable[tuple[str, float, float]]) -> list[_Sign]:
    """Remove the marks and distribute their time by `SHARES`; short pauses count as spaces."""
    signs_out: list[_Sign] = []
    edge, broken = 0.0, True
    for number, (text, start, end) in enumerate(signs):
        edge = edge if number else start
        pause = text in PAUSES
        mark = " " if pause and end - start < SHORT_PAUSE else text
        if mark in SHARES and signs_out:
            edge += SHARES[mark] * (end - edge)
            signs_out[-1].end = edge
            broken = broken or mark not in LENGTH
        elif mark not in SHARES:
            signs_out.append(_Sign("" if pause else text, edge, end, not broken and not pause))
            broken, edge = pause, end
    return signs_out


def _text(signs: Sequence[_Sign], at: int, size: int) -> str:
    """Return the text of some signs, or "?" if they are not one phone."""
    part = signs[at : at + size]
    if len(part) < size or not all(sign.joins and sign.text for sign in part[1:]):
        return "?"
    return "".join(sign.text for sign in part)


def _equal_parts(symbols: Sequence[str], start: float, end: float) -> list[Phone]:
    """Return phones of equal length."""
    step = (end - start) / len(symbols)
    return [Phone(symbol, start + i * step, start + (i + 1) * step) for i, symbol in enumerate(symbols)]
