"""A human reader: five LibriVox sentences of Debian's pocketsphinx-testdata, force-aligned."""

from __future__ import annotations

import functools
import wave
from pathlib import Path

import numpy as np

from .alphabets import sphinx_symbol
from .phones import (
    SAMPLE_RATE,
    Phone,
    Speech,
    SpeechError,
    align_to_audio,
    from_int16,
)

FOLDER = Path("/usr/share/pocketsphinx/test/data/librivox")
FRAME = 0.01
OFFSET = 0.008
"""Sphinx's frame i is centred at 10 i + 12.8 ms, so it begins 8 ms after its number says."""


@functools.cache
def librivox_sentences(folder: Path = FOLDER) -> tuple[Speech, ...]:
    """The aligned sentences (SpeechError without the Debian package or the pocketsphinx wheel)."""
    path = folder / "transcription"
    if not path.is_file():
        raise SpeechError(f"expected {path}; apt-get install pocketsphinx-testdata")
    spoken = []
    for line in path.read_text().splitlines():
        words, _, name = line.strip().rpartition(" ")
        if words:
            text = words.replace("<s>", "").replace("</s>", "").strip()
            spoken.append(aligned(folder / f"{name.strip('()')}.wav", text))
    return tuple(spoken)


def aligned(path: Path, text: str) -> Speech:
    """The recording with the times of the phones of `text` (lower case, no punctuation)."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise SpeechError("expected the package pocketsphinx; pip install it") from error
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise SpeechError(f"expected 16-bit mono at 16 kHz, got something else: {path}")
        data = file.readframes(file.getnframes())
    decoder = Decoder(lm=None, samprate=SAMPLE_RATE, loglevel="ERROR")
    decoder.set_align_text(text)
    _decode(decoder, data)
    decoder.set_alignment()
    _decode(decoder, data)
    phones = tuple(
        Phone(sphinx_symbol(phone.name), phone.start * FRAME, (phone.start + phone.duration) * FRAME)
        for word in decoder.get_alignment()
        for phone in word
    )
    audio = from_int16(np.frombuffer(data, np.int16))
    return align_to_audio(audio, phones, "librivox", OFFSET)


def _decode(decoder: object, data: bytes) -> None:
    decoder.start_utt()  # type: ignore[attr-defined]
    decoder.process_raw(data, full_utt=True)  # type: ignore[attr-defined]
    decoder.end_utt()  # type: ignore[attr-defined]
