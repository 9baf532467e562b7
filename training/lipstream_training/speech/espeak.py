"""The espeak-ng library (GPL, used as a tool through ctypes): timed phones of synthetic speech, and IPA of a text."""

from __future__ import annotations

import ctypes
import functools
import re
from typing import Any

import numpy as np

from .alphabets import phones_from_ipa
from .phones import (
    SILENCE,
    Phone,
    Speech,
    SpeechError,
    align_to_audio,
    from_int16,
    merge_silence,
    to_16k,
)

LIBRARIES = ("libespeak-ng.so.1", "libespeak-ng.so", "libespeak-ng.dylib")
_SYNCHRONOUS, _EVENTS_IN_IPA = 2, 3
_END_OF_LIST, _PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8, _IPA = 1, 2
WORDS_PER_MINUTE = 165
"""Words per minute at a speed of 1."""
VOICELESS_STOPS = frozenset(("P", "T", "K", "CH"))
CLOSURE = 0.045
"""Seconds of the silent closure before a voiceless stop."""
OFFSET = -0.008
"""Seconds to add to the times of events, as measured with `alignment.label_lags`."""


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The synthesiser. The library has one state per process, so one object serves all voices.

    Raises:
        SpeechError: The library or its data is not installed.
    """

    def __init__(self) -> None:
        self._library = _load_library()
        self.rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, _EVENTS_IN_IPA))
        if self.rate <= 0:
            raise SpeechError("expected espeak-ng to start, but it did not; apt-get install espeak-ng-data")
        self._audio: list[np.ndarray[Any, np.dtype[np.int16]]] = []
        self._events: list[tuple[float, str]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        """Collect audio and events; called by the library."""
        if samples and count:
            self._audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        at = 0
        while events[at].type != _END_OF_LIST:
            if events[at].type == _PHONEME:
                name = bytes(events[at].id.string).decode("utf-8", "ignore")
                self._events.append((events[at].audio_position / 1000, name))
            at += 1
        return 0

    def _select_voice(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SpeechError(f"expected an espeak-ng voice such as en-us+m3, got {voice!r}")

    def synthesise(self, text: str, voice: str, speed: float, pitch: int, pitch_range: int) -> Speech:
        """Return the speech of a text.

        Args:
            text: The text.
            voice: Name of the voice.
            speed: Factor on 165 words per minute.
            pitch: 0 to 99, usually 50.
            pitch_range: 0 to 99, usually 50.

        Raises:
            SpeechError: The voice does not exist, or there was no audio.
        """
        self._select_voice(voice)
        for parameter, value in (
            (_RATE, int(WORDS_PER_MINUTE * speed)),
            (_PITCH, pitch),
            (_RANGE, pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._audio, self._events = [], []
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._audio or not self._events:
            raise SpeechError(
                f"expected audio for {text!r} with the voice {voice!r}, got none from espeak-ng"
            )
        audio = from_int16(np.concatenate(self._audio))
        phones = _phones(self._events, len(audio) / self.rate)
        return align_to_audio(to_16k(audio, self.rate), phones, f"espeak:{voice}", OFFSET)

    def ipa(self, text: str, voice: str) -> str:
        """Return the IPA of a text, with stress marks, length marks and the text's punctuation."""
        self._select_voice(voice)
        parts = re.split(r"([,.;:!?]+)", text)
        spoken = [self._clause(part) if i % 2 == 0 else part[0] + " " for i, part in enumerate(parts)]
        return re.sub(r"\s+", " ", "".join(spoken)).strip()

    def _clause(self, text: str) -> str:
        buffer = ctypes.create_string_buffer(text.encode())
        pointer, out = ctypes.c_void_p(ctypes.addressof(buffer)), list[str]()
        convert = self._library.espeak_TextToPhonemes
        convert.restype = ctypes.c_char_p
        while pointer.value:
            out.append((convert(ctypes.byref(pointer), _UTF8, _IPA) or b"").decode())
        return re.sub(r"\([^)]*\)", "", " ".join(out)).strip()


def _load_library() -> ctypes.CDLL:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise SpeechError("expected the espeak-ng library, found none; apt-get install espeak-ng")


def _phones(events: list[tuple[float, str]], end: float) -> tuple[Phone, ...]:
    """Return the phones of events; each lasts until the next one, divided equally among its letters."""
    phones: list[Phone] = []
    stops = [*(start for start, _ in events[1:]), end]
    for (start, name), stop in zip(events, stops, strict=True):
        letters = name if name and name[0] not in "_(" else "."
        step = (stop - start) / len(letters)
        timed = ((sign, start + i * step, start + (i + 1) * step) for i, sign in enumerate(letters))
        phones += phones_from_ipa(timed)
    return merge_silence(_with_closures(phones))


def _with_closures(phones: list[Phone]) -> list[Phone]:
    """Return phones in which a voiceless stop includes its silent closure; espeak marks it at its burst."""
    out: list[Phone] = []
    for phone in phones:
        if phone.symbol in VOICELESS_STOPS and out and out[-1].symbol != SILENCE:
            before = out.pop()
            early = min(CLOSURE, 0.5 * (before.end - before.start))
            out.append(Phone(before.symbol, before.start, before.end - early))
            phone = Phone(phone.symbol, phone.start - early, phone.end)
        out.append(phone)
    return out


@functools.cache
def shared_espeak() -> Espeak:
    """Return the process's only espeak-ng."""
    return Espeak()
