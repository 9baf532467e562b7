"""Rendered clips on disk: one folder a clip, frames as a memory-mapped array, everything else in one npz."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REFERENCES = 2
"""Portraits of a clip."""
SEEN, FLESH, TEETH = 0, 1, 2
"""What a place of a frame shows: what a closed mouth shows too, what else is inside of it, or teeth."""


@dataclass(frozen=True)
class ClipTruth:
    """What is known exactly about a rendered clip of T frames at 25 fps.

    audio: (N,) float32 mono 16 kHz, N = 640 T; blendshapes: (T, 52); lip_opening: (T,); closures: frame indices of /p b m/;
    face_box, mouth_box: (T, 4) pixels left, top, right, bottom; references: (R,) frames that may serve as portraits; flow:
    (R, T, S, S, 2) float16, see `HeadRenderer.flow`; inside: (T, S, S) uint8, SEEN, FLESH or TEETH; outlines: (T, 4, S),
    see `HeadRenderer.outlines`.
    """

    audio: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    lip_opening: NDArray[np.float32]
    closures: NDArray[np.int64]
    face_box: NDArray[np.float32]
    mouth_box: NDArray[np.float32]
    references: NDArray[np.int64]
    flow: NDArray[np.float16]
    inside: NDArray[np.uint8]
    outlines: NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """A rendered clip: frames (T, H, W, 3) uint8, memory-mapped, and the truth that goes with them."""

    name: str
    frames: NDArray[np.uint8]
    truth: ClipTruth


def save_clip(folder: Path, frames: NDArray[np.uint8], truth: ClipTruth) -> None:
    """Writes the clip so that a half-written one is never seen: the truth, which readers look for, comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "frames.npy", frames)
    np.savez(folder / "part.npz", **{field.name: getattr(truth, field.name) for field in fields(truth)})
    (folder / "part.npz").rename(folder / "truth.npz")


def load_clip(folder: Path) -> Clip:
    with np.load(folder / "truth.npz") as arrays:
        truth = ClipTruth(**{field.name: arrays[field.name] for field in fields(ClipTruth)})
    return Clip(folder.name, np.load(folder / "frames.npy", mmap_mode="r"), truth)


def load_clips(root: Path) -> list[Clip]:
    """All finished clips under ``root``, by name."""
    folders = sorted(path.parent for path in root.glob("*/truth.npz"))
    if not folders:
        raise FileNotFoundError(
            f"no rendered clips under {root}: run `python -m lipstream_training.data.render_clips` first"
        )
    return [load_clip(folder) for folder in folders]
