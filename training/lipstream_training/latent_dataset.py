"""Encoded clips: one file each, and all of a folder as stacked tensors on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class LatentClip:
    """One clip of T frames, encoded.

    latents: (T, C, h, w) float16; features: (T, blocks, channels) float16;
    reference_frames: (R,) indices of frames that serve as portraits; embeddings: (R, 512) float16;
    face_regions: (R, S, S) uint8 in {0, 255}, S the side of the picture; masks: per level (R, 3, tokens) float16 (full, face, lip);
    mouth: (T, h, w) float16, share of a latent token inside the mouth box; face: the same for the face box.
    """

    latents: NDArray[np.float16]
    features: NDArray[np.float16]
    reference_frames: NDArray[np.int64]
    embeddings: NDArray[np.float16]
    face_regions: NDArray[np.uint8]
    masks: tuple[NDArray[np.float16], ...]
    mouth: NDArray[np.float16]
    face: NDArray[np.float16]


@dataclass(frozen=True)
class LatentClips:
    """N clips of one length as stacked tensors, each field as in `LatentClip` with N in front.

    A clip with fewer portraits than others has some of them twice. mouth_middles: (N, T, 2), token row and column of the middle of
    the mouth; it stays on the host, where windows are chosen.
    """

    latents: Tensor
    features: Tensor
    reference_frames: Tensor
    embeddings: Tensor
    face_regions: Tensor
    masks: tuple[Tensor, ...]
    mouth: Tensor
    face: Tensor
    mouth_middles: NDArray[np.float64]

    @classmethod
    def stacked(cls, clips: list[LatentClip], device: torch.device | str = "cpu") -> LatentClips:
        """Raises ValueError when there is no clip, or when their lengths differ."""
        lengths = sorted({len(clip.latents) for clip in clips})
        if len(lengths) != 1:
            raise ValueError(f"expected clips of one length, got {len(clips)} of {lengths} frames")
        portraits = max(len(clip.reference_frames) for clip in clips)

        def stack(arrays: list[NDArray[Any]]) -> Tensor:
            return torch.from_numpy(np.stack(arrays)).to(device)

        def of_portraits(arrays: list[NDArray[Any]]) -> Tensor:
            return stack([np.resize(array, (portraits, *array.shape[1:])) for array in arrays])

        return cls(
            latents=stack([clip.latents for clip in clips]),
            features=stack([clip.features for clip in clips]),
            reference_frames=of_portraits([clip.reference_frames for clip in clips]),
            embeddings=of_portraits([clip.embeddings for clip in clips]),
            face_regions=of_portraits([clip.face_regions for clip in clips]),
            masks=tuple(of_portraits(list(level)) for level in zip(*(c.masks for c in clips), strict=True)),
            mouth=stack([clip.mouth for clip in clips]),
            face=stack([clip.face for clip in clips]),
            mouth_middles=np.stack([_middles(clip.mouth) for clip in clips]),
        )

    @property
    def count(self) -> int:
        return len(self.latents)

    @property
    def frames(self) -> int:
        return self.latents.shape[1]

    @property
    def side(self) -> int:
        """Latent tokens a side."""
        return self.latents.shape[-1]


def _middles(mouth: NDArray[np.float16]) -> NDArray[np.float64]:
    """(T, h, w) -> (T, 2): where the mouth's tokens are on average; the middle of the picture where there are none."""
    inside = mouth > 0
    places = np.moveaxis(np.mgrid[0 : mouth.shape[1], 0 : mouth.shape[2]], 0, -1)  # (h, w, 2)
    counts = inside.sum(axis=(1, 2))[:, None]
    sums = np.einsum("thw,hwc->tc", inside.astype(np.float64), places.astype(np.float64))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.array(mouth.shape[1:]) / 2)


def save_latent_clip(path: Path, clip: LatentClip) -> None:
    arrays: dict[str, Any] = {
        name: getattr(clip, name) for name in LatentClip.__dataclass_fields__ if name != "masks"
    }
    levels: dict[str, Any] = {f"mask_{level}": mask for level, mask in enumerate(clip.masks)}
    part = path.with_name(f"part-{path.name}")
    np.savez(part, **arrays, **levels)
    part.rename(path)


def load_latent_clips(root: Path) -> list[LatentClip]:
    return [_load(path) for path in sorted(root.glob("*.npz")) if not path.name.startswith("part-")]


def _load(path: Path) -> LatentClip:
    with np.load(path) as arrays:
        names = [name for name in LatentClip.__dataclass_fields__ if name != "masks"]
        levels = sorted(name for name in arrays.files if name.startswith("mask_"))
        return LatentClip(
            **{name: arrays[name] for name in names}, masks=tuple(arrays[level] for level in levels)
        )


def spread_of(clips: LatentClips) -> float:
    """Root mean square distance of a frame's latents from the portrait's, inside the face: the unit of what is diffused."""
    squares, weights = 0.0, 0.0
    for latents, face, references in zip(clips.latents, clips.face, clips.reference_frames, strict=True):
        frames, inside = latents.float(), face.float()[:, None]
        for reference in references:
            distance = (frames - frames[reference]).square().mean(dim=1, keepdim=True)
            squares, weights = squares + float((distance * inside).sum()), weights + float(inside.sum())
    return float(np.sqrt(squares / weights))


def channel_weights_of(clips: LatentClips) -> Tensor:
    """(C, 1, 1, 1): how much a channel counts, one on average: the root of what its error is worth in pixels.

    A latent channel of variance v is a component of pixels of variance v^2 (`set_components`), so its squared error is worth v
    times as much in pixels. Counted alike, the many weak channels, which hold texture that nothing predicts, would be most of
    the loss.
    """
    middles = clips.latents[:, clips.frames // 2].float()
    weights = middles.std(dim=(0, 2, 3), correction=0)
    return (weights / weights.mean())[:, None, None, None]
