"""Makes the bundled recording of a human voice: `python -m lipstream_training.speech.reading --out FILE.flac`.

Sentences of a LibriVox reader (public domain) from Debian's pocketsphinx-testdata, joined with the
pauses in which they were cut.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from lipstream_models.errors import LipstreamError

Audio = NDArray[np.float32]

SAMPLE_RATE = 16000
FOLDER = Path("/usr/share/pocketsphinx/test/data/librivox")
SENTENCES = ("0880", "0890", "0930")
"""He was not an ill-disposed young man, unless to be rather cold-hearted, and rather selfish, is to be
ill-disposed. He might even have been made amiable himself."""
FADE = 0.02
PEAK = 0.7
TAIL = 0.25
"""Seconds after the last word, so that the mouth can close."""


def load_sentence(path: Path) -> Audio:
    """The wav file (16-bit mono, 16 kHz) less its constant offset, the ends faded so that no joint clicks."""
    if not path.is_file():
        raise LipstreamError(f"expected {path}; apt-get install pocketsphinx-testdata")
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise LipstreamError(f"expected 16-bit mono at 16 kHz, got something else: {path}")
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    audio = samples.astype(np.float32) / 32768
    audio -= audio.mean()
    ramp = np.linspace(0, 1, round(FADE * SAMPLE_RATE), dtype=np.float32)
    audio[: len(ramp)] *= ramp
    audio[-len(ramp) :] *= ramp[::-1]
    return np.asarray(audio, np.float32)


def reading(folder: Path = FOLDER) -> Audio:
    """The joined sentences (N,) float32 at PEAK, about 11.8 s."""
    name = "sense_and_sensibility_01_austen_64kb-{}.wav"
    parts = [load_sentence(folder / name.format(number)) for number in SENTENCES]
    # The cuts hold about 0.45 s of the room's own silence at each joint, which is the pause.
    audio = np.concatenate([*parts, np.zeros(round(TAIL * SAMPLE_RATE), np.float32)])
    return np.asarray(audio / np.abs(audio).max() * PEAK, np.float32)


def save_flac(path: Path, audio: Audio) -> None:
    """Audio (N,) in -1..1 as 16-bit mono FLAC at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    save_flac(arguments.out, reading(arguments.folder))


if __name__ == "__main__":
    main()
