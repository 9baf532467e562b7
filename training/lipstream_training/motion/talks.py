"""The held-out talks: speech with animations that is in the repository, so that evaluation needs no synthesiser.

    python -m lipstream_training.motion.talks

makes them again; that needs flite, espeak-ng, and pocketsphinx with its test data.
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
"""Frames of a talk; 12 talks are 61.9 s."""
TRACKS = ("blendshapes", "head_rotation", "head_translation", "gaze")


def talks_path() -> Path:
    """Return the path of the committed talks, without its suffixes: .flac for the audio, .npz for the rest."""
    return Path(__file__).parents[1] / "assets" / "heldout_talks"


def load_talks(path: Path | None = None) -> list[tuple[Speech, Animation]]:
    """Return all talks, 129 frames and 82560 samples each, of voices and sentences that training never uses.

    Raises:
        SpeechError: The files do not exist.
    """
    path = path or talks_path()
    audio_path, track_path = path.with_suffix(".flac"), path.with_suffix(".npz")
    if not (audio_path.is_file() and track_path.is_file()):
        raise SpeechError(
            f"expected {audio_path} and {track_path}; run python -m lipstream_training.motion.talks"
        )
    with np.load(track_path) as file:
        arrays = {name: file[name] for name in file.files}
    pieces = np.split(_load_flac(audio_path), len(arrays["voices"]))
    return [_talk_from_arrays(arrays, number, piece) for number, piece in enumerate(pieces)]


def save_talks(talks: list[tuple[Speech, Animation]], path: Path) -> None:
    """Write talks: tracks as float16 (steps of 0.0005 near 1), audio as 16-bit FLAC."""
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


def _talk_from_arrays(
    arrays: dict[str, NDArray[Any]], number: int, audio: NDArray[np.float32]
) -> tuple[Speech, Animation]:
    """Return a talk with audio (N,) from the arrays of all talks."""
    own = np.flatnonzero(arrays["phone_talks"] == number)
    phones = tuple(Phone(str(arrays["phone_symbols"][i]), *map(float, arrays["phone_times"][i])) for i in own)
    tracks = {name: arrays[name][number].astype(np.float32) for name in TRACKS}
    closures = tuple(int(frame) for talk, frame in arrays["closures"] if talk == number)
    speech = Speech(audio, phones, str(arrays["voices"][number]))
    return speech, Animation(names=ARKIT_NAMES, closures=closures, **tracks)


def _load_flac(path: Path) -> NDArray[np.float32]:
    """Return the audio (N,) of a FLAC file."""
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return from_int16(np.concatenate(parts))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Make the held-out talks again.")
    parser.add_argument(
        "--out", type=Path, default=talks_path(), help="Path without suffix; the committed one by default."
    )
    arguments = parser.parse_args()
    seconds = FRAMES / FPS
    talks = [make_clip(number, seconds, "heldout", voice) for number, voice in enumerate(VOICES)]
    save_talks(talks, arguments.out)
    total = sum(len(speech.audio) for speech, _ in talks) / SAMPLE_RATE
    print(f"{len(talks)} talks, {total:.1f} s, {sum(len(face.closures) for _, face in talks)} closures")


if __name__ == "__main__":
    main()
