"""Clips as the diffusion model sees them: latents, audio features and reference portraits, all held in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CROP_STEP = 4  # tokens: how far apart crops may begin, so that the coarsest level has whole tokens of them


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

    def to(self, device: torch.device | str) -> Windows:
        tensors = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return Windows(masks=tuple(mask.to(device) for mask in self.masks), **tensors)


@dataclass(frozen=True)
class WindowOptions:
    """crop: tokens a side of the part around the mouth that is all a window shows; None for the whole picture."""

    crop: int | None = None
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


def channel_weights_of(clips: list[LatentClip]) -> Tensor:
    """(C, 1, 1, 1): how much a channel counts, one on average: the root of what its error is worth in pixels.

    A latent channel of variance v is a component of pixels of variance v^2 (`set_components`), so its squared error is worth v
    times as much in pixels. Counted alike, the many weak channels, which hold texture that nothing predicts, would be most of
    the loss.
    """
    middles = np.stack([clip.latents[len(clip.latents) // 2] for clip in clips]).astype(np.float32)
    weights = middles.std(axis=(0, 2, 3))
    return _tensor(weights / weights.mean())[:, None, None, None]


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
    return _combined(rows, torch.stack)


def joined(parts: Sequence[Windows]) -> Windows:
    """Several batches as one."""
    return _combined(parts, torch.cat)


def _combined(parts: Sequence[Windows], combine: Callable[[list[Tensor]], Tensor]) -> Windows:
    tensors = {
        name: combine([getattr(part, name) for part in parts])
        for name, value in vars(parts[0]).items()
        if isinstance(value, Tensor)
    }
    masks = tuple(combine(list(level)) for level in zip(*(part.masks for part in parts), strict=True))
    return Windows(masks=masks, **tensors)


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
    whole = Windows(
        latents=((_tensor(clip.latents[window]) - reference) / spread).transpose(0, 1),
        motion=motion,
        reference=reference,
        audio=_context(clip.features, start, frames),
        embedding=_tensor(clip.embeddings[r]),
        face_region=region.expand(3, *region.shape),
        masks=tuple(_tensor(level[r]) for level in clip.masks),
        weight=_tensor(weight)[None],
    )
    if options.crop is None:
        return whole
    top, left = _corner_near(clip.mouth[window].mean(axis=0), options.crop, rng)
    return _cropped(whole, top, left, options.crop)


def _corner_near(mouth: NDArray[np.float16], side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left of a square of tokens near those of the mouth (h, w), such that every level has whole tokens of it."""
    tokens = np.argwhere(mouth > 0)
    middle = tokens.mean(axis=0) if len(tokens) else np.array(mouth.shape) / 2
    corner = CROP_STEP * np.round((middle + rng.uniform(-2, 2, 2) - (side - 1) / 2) / CROP_STEP)
    top, left = (int(v) for v in corner.clip(0, np.array(mouth.shape) - side))
    return top, left


def _cropped(row: Windows, top: int, left: int, side: int) -> Windows:
    """The part of one window that the square of tokens shows."""
    whole = row.latents.shape[-1]
    pixels = row.face_region.shape[-1] // whole

    def part(images: Tensor, tokens: float) -> Tensor:
        """Of (..., h, w) with so many positions a token."""
        down, across = (slice(int(start * tokens), int((start + side) * tokens)) for start in (top, left))
        return images[..., down, across]

    def part_of_mask(mask: Tensor) -> Tensor:
        width = math.isqrt(mask.shape[-1])
        return part(mask.unflatten(-1, (width, width)), width / whole).flatten(-2)

    return replace(
        row,
        latents=part(row.latents, 1),
        motion=part(row.motion, 1),
        reference=part(row.reference, 1),
        face_region=part(row.face_region, pixels),
        masks=tuple(part_of_mask(mask) for mask in row.masks),
        weight=part(row.weight, 1),
    )


def _context(features: NDArray[np.float16], start: int, frames: int) -> Tensor:
    """(F, 5, blocks, channels): each frame with two neighbours on either side, clamped at the ends of the clip."""
    index = np.arange(start, start + frames)[:, None] + np.arange(-2, 3)
    return _tensor(features[index.clip(0, len(features) - 1)])


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()
