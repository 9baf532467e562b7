"""Make the bundled recording of a human voice.

    python -m lipstream_training.speech.reading --out FILE.flac

Sentences of a LibriVox reader (public domain) from Debian's pocketsphinx-testdata, with the pauses in which they were
cut.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from .phones import SAMPLE_RATE, from_int16
from .recordings import FOLDER, read_wav

Audio = NDArray[np.float32]

SENTENCES = ("0880", "0890", "0930")
"""He was not an ill-disposed young man, unless to be rather cold-hearted, and rather selfish, is to be
ill-disposed. He might even have been made amiable himself."""
FADE = 0.02
PEAK = 0.7
TAIL = 0.25
"""Seconds of silence after the last word, so that the mouth can close."""


def load_sentence(path: Path) -> Audio:
    """Return the audio (N,) of a wav file without its constant offset, with faded ends so that no joint clicks.

    Raises:
        SpeechError: There is no such file, or it is not 16-bit mono at 16 kHz.
    """
    audio = from_int16(np.frombuffer(read_wav(path), np.int16)).copy()
    audio -= audio.mean()
    ramp = np.linspace(0, 1, round(FADE * SAMPLE_RATE), dtype=np.float32)
    audio[: len(ramp)] *= ramp
    audio[-len(ramp) :] *= ramp[::-1]
    return np.asarray(audio, np.float32)


def bundled_reading(folder: Path = FOLDER) -> Audio:
    """Return the sentences (N,) with a peak of `PEAK`, about 11.8 s."""
    name = "sense_and_sensibility_01_austen_64kb-{}.wav"
    parts = [load_sentence(folder / name.format(number)) for number in SENTENCES]
    # Each joint has about 0.45 s of the recording's own silence, which is the pause.
    audio = np.concatenate([*parts, np.zeros(round(TAIL * SAMPLE_RATE), np.float32)])
    return np.asarray(audio / np.abs(audio).max() * PEAK, np.float32)


def save_flac(path: Path, audio: Audio) -> None:
    """Write audio (N,) in [-1, 1] as 16-bit mono FLAC at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Make the bundled recording of a human voice.")
    parser.add_argument("--out", type=Path, required=True, help="FLAC file to write.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="Folder of the sentences.")
    arguments = parser.parse_args()
    save_flac(arguments.out, bundled_reading(arguments.folder))


if __name__ == "__main__":
    main()
