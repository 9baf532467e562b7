"""Clips as the diffusion model sees them: latents, audio features and reference portraits, all held in memory."""

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


@dataclass(frozen=True)
class Windows:
    """A training batch of B windows of F frames and M motion frames in front of them.

    latents: (B, C, F, h, w), relative to the portrait as `Model.spread` says; motion: (B, M, C, h, w); reference:
    (B, C, h, w); audio: (B, F, 5, blocks, channels); embedding: (B, 512); face_region: (B, 3, S, S) in [0, 1]; masks: per
    level (B, 3, tokens); weight: (B, 1, F, h, w).
    """

    latents: Tensor
    motion: Tensor
    reference: Tensor
    audio: Tensor
    embedding: Tensor
    face_region: Tensor
    masks: tuple[Tensor, ...]
    weight: Tensor


@dataclass(frozen=True)
class WindowOptions:
    motion_frames: int = 2
    first_window_share: float = 0.15
    motion_noise: float = 0.15
    mouth_weight: float = 6.0
    face_weight: float = 1.5


def spread_of(clips: list[LatentClip]) -> float:
    """Root mean square distance of a frame's latents from the portrait's, inside the face: the unit of what is diffused."""
    squares, weights = 0.0, 0.0
    for clip in clips:
        latents, face = clip.latents.astype(np.float32), clip.face.astype(np.float32)[:, None]
        for reference in clip.reference_frames:
            distance = np.square(latents - latents[reference]).mean(axis=1, keepdims=True)
            squares, weights = squares + float((distance * face).sum()), weights + float(face.sum())
    return float(np.sqrt(squares / weights))


def sample_windows(
    clips: list[LatentClip],
    batch: int,
    frames: int,
    options: WindowOptions,
    spread: float,
    rng: np.random.Generator,
) -> Windows:
    """``batch`` random windows; some repeat the portrait as their motion frames, as the first window of a video does."""
    rows = [
        _sample_window(clips[i], frames, options, spread, rng) for i in rng.integers(len(clips), size=batch)
    ]
    return Windows(
        latents=torch.stack([row.latents for row in rows]),
        motion=torch.stack([row.motion for row in rows]),
        reference=torch.stack([row.reference for row in rows]),
        audio=torch.stack([row.audio for row in rows]),
        embedding=torch.stack([row.embedding for row in rows]),
        face_region=torch.stack([row.face_region for row in rows]),
        masks=tuple(torch.stack(level) for level in zip(*(row.masks for row in rows), strict=True)),
        weight=torch.stack([row.weight for row in rows]),
    )


def _sample_window(
    clip: LatentClip, frames: int, options: WindowOptions, spread: float, rng: np.random.Generator
) -> Windows:
    """One window, without the batch dimension."""
    count = options.motion_frames
    start = int(rng.integers(count, len(clip.latents) - frames + 1))
    r = int(rng.integers(len(clip.reference_frames)))
    reference = _tensor(clip.latents[clip.reference_frames[r]])
    if rng.random() < options.first_window_share:
        motion = reference.expand(count, *reference.shape)
    else:
        # Noise on the motion frames: at inference they are the model's own, imperfect output.
        motion = _tensor(clip.latents[start - count : start])
        motion = motion + options.motion_noise * float(rng.random()) * torch.randn_like(motion)
    window = slice(start, start + frames)
    weight = 1 + options.mouth_weight * clip.mouth[window] + options.face_weight * clip.face[window]
    region = torch.from_numpy(clip.face_regions[r]).float() / 255
    return Windows(
        latents=((_tensor(clip.latents[window]) - reference) / spread).transpose(0, 1),
        motion=motion,
        reference=reference,
        audio=_context(clip.features, start, frames),
        embedding=_tensor(clip.embeddings[r]),
        face_region=region.expand(3, *region.shape),
        masks=tuple(_tensor(level[r]) for level in clip.masks),
        weight=_tensor(weight)[None],
    )


def _context(features: NDArray[np.float16], start: int, frames: int) -> Tensor:
    """(F, 5, blocks, channels): each frame with two neighbours on either side, clamped at the ends of the clip."""
    index = np.arange(start, start + frames)[:, None] + np.arange(-2, 3)
    return _tensor(features[index.clip(0, len(features) - 1)])


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()
