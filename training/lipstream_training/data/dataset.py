"""Rendered clips on disk: a folder per clip, frames as a memory-mapped array, everything else in one npz file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REFERENCES = 2
"""Reference frames of a clip, which serve as portraits."""


@dataclass(frozen=True)
class ClipTruth:
    """Everything that the renderer knows about a clip of T frames at 25 fps.

    Attributes:
        audio: (640 T,) mono at 16 kHz.
        blendshapes: (T, 52).
        lip_opening: (T,), see `RenderedFrame`.
        closures: Indices of the frames in which /p/, /b/ or /m/ is closed.
        face_box: (T, 4) left, top, right, bottom in pixels.
        mouth_box: (T, 4) the same for the mouth.
        references: (R,) indices of the reference frames.
        flow: (R, T, S, S, 2) flow to each reference, see `HeadRenderer.flow`.
        inside: (T, S, S) surface of each cell: OUTSIDE, FLESH or TEETH.
        outlines: (T, 4, S) edges of lips and teeth, see `HeadRenderer.outlines`.
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
class RenderedClip:
    """A rendered clip.

    Attributes:
        name: Name of the clip's folder.
        frames: (T, H, W, 3) uint8, memory-mapped.
        truth: Everything else.
    """

    name: str
    frames: NDArray[np.uint8]
    truth: ClipTruth


def save_clip(folder: Path, frames: NDArray[np.uint8], truth: ClipTruth) -> None:
    """Write a clip with frames (T, H, W, 3).

    The file that readers look for is put in place last, so that they never find a part of a clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "frames.npy", frames)
    np.savez(folder / "part.npz", **{field.name: getattr(truth, field.name) for field in fields(truth)})
    (folder / "part.npz").rename(folder / "truth.npz")


def load_clip(folder: Path) -> RenderedClip:
    """Return the clip in a folder."""
    with np.load(folder / "truth.npz") as arrays:
        truth = ClipTruth(**{field.name: arrays[field.name] for field in fields(ClipTruth)})
    return RenderedClip(folder.name, np.load(folder / "frames.npy", mmap_mode="r"), truth)


def load_clips(root: Path) -> list[RenderedClip]:
    """Return all finished clips in the folders below ``root``, sorted by name.

    Raises:
        FileNotFoundError: There are none.
    """
    folders = sorted(path.parent for path in root.glob("*/truth.npz"))
    if not folders:
        raise FileNotFoundError(
            f"expected rendered clips in {root}, found none: "
            "run `python -m lipstream_training.stages.render_clips` first"
        )
    return [load_clip(folder) for folder in folders]
