"""Held-out talks that lie in the repository, so that evaluation needs no speech program.

`python -m lipstream_training.motion.talks` makes them anew (flite, espeak-ng, pocketsphinx and its test data needed).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from ..speech.phones import (
    SAMPLE_RATE,
    Phone,
    Speech,
    SpeechError,
    from_int16,
)
from ..speech.reading import save_flac
from .animation import Animation
from .gestures import FPS
from .script import make_clip
from .visemes import ARKIT_NAMES

VOICES = ("librivox", "flite:awb", "librivox", "espeak:en-gb-scotland+f3") * 3
FRAMES = 129
"""Per talk; 12 talks are 61.9 s."""
TRACKS = ("blendshapes", "head_rotation", "head_translation", "gaze")


def talks_path() -> Path:
    """The committed talks: this path with .flac for the sound and .npz for the rest."""
    return Path(__file__).parents[1] / "assets" / "heldout_talks"


def load_talks(path: Path | None = None) -> list[tuple[Speech, Animation]]:
    """Every talk: 129 frames and their 82560 samples, of voices and sentences that training never uses."""
    path = path or talks_path()
    sound, facts = path.with_suffix(".flac"), path.with_suffix(".npz")
    if not (sound.is_file() and facts.is_file()):
        raise SpeechError(f"expected {sound} and {facts}; run python -m lipstream_training.motion.talks")
    with np.load(facts) as held:
        arrays = {name: held[name] for name in held.files}
    pieces = np.split(_decoded(sound), len(arrays["voices"]))
    return [_talk(arrays, number, piece) for number, piece in enumerate(pieces)]


def save_talks(talks: list[tuple[Speech, Animation]], path: Path) -> None:
    """Tracks as float16 (a step of 0.0005 near 1), audio as 16-bit FLAC."""
    save_flac(path.with_suffix(".flac"), np.concatenate([speech.audio for speech, _ in talks]))
    phones = [(number, phone) for number, (speech, _) in enumerate(talks) for phone in speech.phones]
    closures = [(number, frame) for number, (_, face) in enumerate(talks) for frame in face.closures]
    arrays: dict[str, Any] = {
        name: np.stack([getattr(face, name) for _, face in talks]).astype(np.float16) for name in TRACKS
    }
    arrays["voices"] = np.array([speech.voice for speech, _ in talks])
    arrays["phone_talks"] = np.array([number for number, _ in phones])
    arrays["phone_symbols"] = np.array([phone.symbol for _, phone in phones])
    arrays["phone_times"] = np.array([(phone.start, phone.end) for _, phone in phones], np.float32)
    arrays["closures"] = np.array(closures, np.int32).reshape(-1, 2)
    np.savez_compressed(path.with_suffix(".npz"), **arrays)


def _talk(
    arrays: dict[str, NDArray[Any]], number: int, audio: NDArray[np.float32]
) -> tuple[Speech, Animation]:
    own = np.flatnonzero(arrays["phone_talks"] == number)
    phones = tuple(Phone(str(arrays["phone_symbols"][i]), *map(float, arrays["phone_times"][i])) for i in own)
    tracks = {name: arrays[name][number].astype(np.float32) for name in TRACKS}
    closures = tuple(int(frame) for talk, frame in arrays["closures"] if talk == number)
    speech = Speech(audio, phones, str(arrays["voices"][number]))
    return speech, Animation(names=ARKIT_NAMES, closures=closures, **tracks)


def _decoded(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return from_int16(np.concatenate(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=talks_path())
    arguments = parser.parse_args()
    seconds = FRAMES / FPS
    talks = [make_clip(number, seconds, "heldout", voice) for number, voice in enumerate(VOICES)]
    save_talks(talks, arguments.out)
    total = sum(len(speech.audio) for speech, _ in talks) / SAMPLE_RATE
    print(f"{len(talks)} talks, {total:.1f} s, {sum(len(face.closures) for _, face in talks)} closures")


if __name__ == "__main__":
    main()
