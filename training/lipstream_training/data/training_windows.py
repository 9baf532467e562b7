"""Windows of clips as the diffusion model is shown them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .latent_dataset import LatentClips

CROP_STEP = 4  # tokens: how far apart crops may begin, so that the coarsest level has whole tokens of them


@dataclass(frozen=True)
class Windows:
    """A training batch of B windows of F frames and M motion frames in front of them.

    latents: (B, C, F, h, w), relative to the portrait as `Model.residual_scale` says; motion: (B, M, C, h, w); reference:
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
    """crop: tokens a side of the part around the mouth that is all a window shows; None for the whole picture."""

    crop: int | None = None
    motion_frames: int = 2
    first_window_share: float = 0.15
    motion_noise: float = 0.15
    mouth_weight: float = 6.0
    face_weight: float = 1.5


def sample_windows(
    clips: LatentClips,
    batch: int,
    frames: int,
    options: WindowOptions,
    spread: float,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> Windows:
    """``batch`` random windows on the clips' device; some repeat the portrait as their motion frames, as the first window of a
    video does. ``rng`` chooses the windows, ``generator``, of the clips' device, makes noise.
    """
    past = options.motion_frames
    clip = rng.integers(clips.count, size=batch)
    start = rng.integers(past, clips.frames - frames + 1, size=batch)
    portrait = rng.integers(clips.reference_frames.shape[1], size=batch)
    begins = rng.random(batch) < options.first_window_share
    # Noise on the motion frames: at inference they are the model's own, imperfect output.
    noise = np.where(begins, 0.0, options.motion_noise * rng.random(batch)).astype(np.float32)

    def on_device(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(clips.latents.device, non_blocking=True)

    c, r = on_device(clip), on_device(portrait)
    column = c[:, None]
    shown = on_device(start[:, None] + np.arange(frames))
    reference = clips.latents[c, clips.reference_frames[c, r]].float()
    before = clips.latents[column, on_device(start[:, None] + np.arange(-past, 0))].float()
    before = torch.where(on_device(begins)[:, None, None, None, None], reference[:, None], before)
    disturbance = torch.randn(before.shape, generator=generator, device=before.device)
    samples = clips.samples[c[:, None], r[:, None], shown].float()
    weight = (
        1
        + options.mouth_weight * clips.mouth[column, shown]
        + options.face_weight * clips.face[column, shown]
    )
    region = clips.face_regions[c, r].float() / 255
    whole = Windows(
        latents=(samples / spread).transpose(1, 2),
        motion=before + on_device(noise)[:, None, None, None, None] * disturbance,
        reference=reference,
        audio=clips.features[column[..., None], on_device(_context(start, frames, clips.frames))].float(),
        embedding=clips.embeddings[c, r].float(),
        face_region=region[:, None].expand(-1, 3, -1, -1),
        masks=tuple(level[c, r].float() for level in clips.masks),
        weight=weight.float()[:, None],
    )
    if options.crop is None:
        return whole
    middles = np.stack(
        [clips.mouth_middles[i, s : s + frames].mean(axis=0) for i, s in zip(clip, start, strict=True)]
    )
    return _cropped(whole, on_device(_corners_near(middles, options.crop, clips.side, rng)), options.crop)


def _context(start: NDArray[np.int64], frames: int, length: int) -> NDArray[np.int64]:
    """(B, F, 5): indices of each frame and two neighbours on either side, clamped at the ends of the clip."""
    index = start[:, None, None] + np.arange(frames)[:, None] + np.arange(-2, 3)
    return index.clip(0, length - 1)


def _corners_near(
    middles: NDArray[np.float64], side: int, whole: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(B, 2): top and left of squares of tokens near mouths (B, 2), such that every level has whole tokens of them."""
    aim = middles + rng.uniform(-2, 2, middles.shape) - (side - 1) / 2
    return (CROP_STEP * np.round(aim / CROP_STEP)).clip(0, whole - side).astype(np.int64)


def _cropped(windows: Windows, corners: Tensor, side: int) -> Windows:
    """The part of each window that its square of tokens shows."""
    whole = windows.latents.shape[-1]
    pixels = windows.face_region.shape[-1] // whole
    batch = torch.arange(len(corners), device=corners.device)[:, None, None]

    def part(images: Tensor, width: int) -> Tensor:
        """Of (B, ..., width, width)."""
        places = torch.arange(side * width // whole, device=corners.device)
        y, x = (corner[:, None] * width // whole + places for corner in corners.T)
        return images.movedim((-2, -1), (1, 2))[batch, y[:, :, None], x[:, None, :]].movedim((1, 2), (-2, -1))

    def part_of_mask(mask: Tensor) -> Tensor:
        width = math.isqrt(mask.shape[-1])
        return part(mask.unflatten(-1, (width, width)), width).flatten(-2)

    return Windows(
        latents=part(windows.latents, whole),
        motion=part(windows.motion, whole),
        reference=part(windows.reference, whole),
        audio=windows.audio,
        embedding=windows.embedding,
        face_region=part(windows.face_region, whole * pixels),
        masks=tuple(part_of_mask(mask) for mask in windows.masks),
        weight=part(windows.weight, whole),
    )
