"""Recordings of a human reader: five LibriVox sentences of Debian's pocketsphinx-testdata, force-aligned."""

from __future__ import annotations

import functools
import wave
from pathlib import Path

import numpy as np

from .alphabets import sphinx_to_arpabet
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
"""Seconds of one of Sphinx's frames."""
OFFSET = 0.008
"""Seconds to add to Sphinx's times: the centre of frame i is at 10 i + 12.8 ms, so it starts 8 ms after 10 i."""


def read_wav(path: Path) -> bytes:
    """Return the samples of a wav file.

    Raises:
        SpeechError: There is no such file, or it is not 16-bit mono at 16 kHz.
    """
    if not path.is_file():
        raise SpeechError(f"expected {path}, found none; apt-get install pocketsphinx-testdata")
    with wave.open(str(path)) as file:
        found = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        if found != (SAMPLE_RATE, 1, 2):
            raise SpeechError(f"expected 16-bit mono at 16 kHz, got rate, channels, bytes {found}: {path}")
        data: bytes = file.readframes(file.getnframes())
    return data


@functools.cache
def librivox_sentences(folder: Path = FOLDER) -> tuple[Speech, ...]:
    """Return the aligned sentences.

    Raises:
        SpeechError: The Debian package pocketsphinx-testdata or the Python package pocketsphinx is not installed.
    """
    path = folder / "transcription"
    if not path.is_file():
        raise SpeechError(f"expected {path}, found none; apt-get install pocketsphinx-testdata")
    sentences = []
    for line in path.read_text().splitlines():
        words, _, name = line.strip().rpartition(" ")
        if words:
            text = words.replace("<s>", "").replace("</s>", "").strip()
            sentences.append(force_align(folder / f"{name.strip('()')}.wav", text))
    return tuple(sentences)


def force_align(path: Path, text: str) -> Speech:
    """Return a recording with the times of the phones of its text (lower case, no punctuation).

    Raises:
        SpeechError: The package pocketsphinx is not installed, or the recording cannot be read.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise SpeechError("expected the package pocketsphinx; pip install pocketsphinx") from error
    data = read_wav(path)
    decoder = Decoder(lm=None, samprate=SAMPLE_RATE, loglevel="ERROR")
    decoder.set_align_text(text)
    _decode(decoder, data)
    decoder.set_alignment()
    _decode(decoder, data)
    phones = tuple(
        Phone(sphinx_to_arpabet(phone.name), phone.start * FRAME, (phone.start + phone.duration) * FRAME)
        for word in decoder.get_alignment()
        for phone in word
    )
    audio = from_int16(np.frombuffer(data, np.int16))
    return align_to_audio(audio, phones, "librivox", OFFSET)


def _decode(decoder: object, data: bytes) -> None:
    decoder.start_utt()  # type: ignore[attr-defined]
    decoder.process_raw(data, full_utt=True)  # type: ignore[attr-defined]
    decoder.end_utt()  # type: ignore[attr-defined]
