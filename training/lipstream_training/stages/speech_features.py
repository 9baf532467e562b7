"""Synthesise speech without rendering, for the audio projection: audio features and blendshapes.

python -m lipstream_training.stages.speech_features --out DIR --split train --minutes 40
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from lipstream_models.audio.features import WhisperFeatures

from ..motion.script import make_clip

SECONDS = 6.0
FIRST_SEED = {"train": 1_000_000, "heldout": 2_000_000}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Synthesise speech and save its features and blendshapes.")
    parser.add_argument("--out", type=Path, required=True, help="Folder to write the features to.")
    parser.add_argument(
        "--split", choices=FIRST_SEED, default="train", help="Split whose voices and sentences are used."
    )
    parser.add_argument("--minutes", type=float, default=40.0, help="Minutes of speech.")
    parser.add_argument("--part", type=int, default=0, help="Number of this process among those that share.")
    parser.add_argument("--parts", type=int, default=1, help="Number of processes that share the speech.")
    arguments = parser.parse_args()
    folder: Path = arguments.out / arguments.split
    folder.mkdir(parents=True, exist_ok=True)
    whisper = WhisperFeatures.bundled()
    for number in range(arguments.part, max(1, round(arguments.minutes * 60 / SECONDS)), arguments.parts):
        path = folder / f"{number:05d}.npz"
        if path.exists():
            continue
        speech, animation = make_clip(FIRST_SEED[arguments.split] + number, SECONDS, arguments.split)
        features = whisper.offline(speech.audio).astype(np.float16)
        part = path.with_name(f"part-{path.name}")
        tracks: dict[str, Any] = {"blendshapes": animation.blendshapes, "mouth": animation.mouth}
        np.savez(part, features=features, **tracks)
        part.rename(path)


if __name__ == "__main__":
    main()
