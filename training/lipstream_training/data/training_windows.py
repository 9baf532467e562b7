"""Windows of encoded clips, as the diffusion model is trained on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .latent_dataset import LatentClips

CROP_STEP = 4
"""Tokens: crops start at multiples of it, so that the coarsest level is cut between tokens."""
CONTEXT = 2
"""Neighbouring frames on either side that an audio window has."""


@dataclass(frozen=True)
class TrainingWindows:
    """A batch of B windows of F frames, with M motion frames before them.

    Attributes:
        latents: (B, C, F, h, w) samples to predict, in units of the residual scale.
        motion: (B, M, C, h, w) latents of the motion frames.
        reference: (B, C, h, w) latents of the portrait.
        audio: (B, F, 5, blocks, channels) audio features.
        embedding: (B, 512) face embedding of the portrait.
        face_region: (B, 3, S, S) in [0, 1].
        masks: (B, 3, tokens) for each level.
        weight: (B, 1, F, h, w) weight of each token's error.
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
    """How windows are drawn.

    Attributes:
        crop: Tokens per side of a crop around the mouth; None for whole frames.
        motion_frames: Motion frames before a window.
        first_window_share: Share of the windows that start a video: their motion frames repeat the portrait.
        motion_noise: Largest standard deviation of noise on the motion frames.
        mouth_weight: Extra weight of a token of the mouth.
        face_weight: Extra weight of a token of the face.
    """

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
    residual_scale: float,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> TrainingWindows:
    """Return random windows on the clips' device.

    Args:
        clips: Clips to draw from.
        batch: Number of windows.
        frames: Frames of a window.
        options: How windows are drawn.
        residual_scale: Unit of the samples.
        rng: Chooses the windows.
        generator: Draws the noise, on the clips' device.
    """
    before = options.motion_frames
    clip = rng.integers(clips.count, size=batch)
    start = rng.integers(before, clips.frames - frames + 1, size=batch)
    portrait = rng.integers(clips.reference_frames.shape[1], size=batch)
    first = rng.random(batch) < options.first_window_share
    # Motion frames get noise, because at inference they are the model's own, imperfect output.
    noise = np.where(first, 0.0, options.motion_noise * rng.random(batch)).astype(np.float32)

    def on_device(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(clips.latents.device, non_blocking=True)

    c, r = on_device(clip), on_device(portrait)
    column = c[:, None]
    shown = on_device(start[:, None] + np.arange(frames))
    reference = clips.latents[c, clips.reference_frames[c, r]].float()
    motion = clips.latents[column, on_device(start[:, None] + np.arange(-before, 0))].float()
    motion = torch.where(on_device(first)[:, None, None, None, None], reference[:, None], motion)
    disturbance = torch.randn(motion.shape, generator=generator, device=motion.device)
    samples = clips.samples[c[:, None], r[:, None], shown].float()
    weight = (
        1
        + options.mouth_weight * clips.mouth[column, shown]
        + options.face_weight * clips.face[column, shown]
    )
    region = clips.face_regions[c, r].float() / 255
    whole = TrainingWindows(
        latents=(samples / residual_scale).transpose(1, 2),
        motion=motion + on_device(noise)[:, None, None, None, None] * disturbance,
        reference=reference,
        audio=clips.features[column[..., None], on_device(_audio_index(start, frames, clips.frames))].float(),
        embedding=clips.embeddings[c, r].float(),
        face_region=region[:, None].expand(-1, 3, -1, -1),
        masks=tuple(level[c, r].float() for level in clips.masks),
        weight=weight.float()[:, None],
    )
    if options.crop is None:
        return whole
    centres = np.stack(
        [clips.mouth_centres[i, s : s + frames].mean(axis=0) for i, s in zip(clip, start, strict=True)]
    )
    return _cropped(whole, on_device(_crop_corners(centres, options.crop, clips.side, rng)), options.crop)


def _audio_index(start: NDArray[np.int64], frames: int, length: int) -> NDArray[np.int64]:
    """Return the indices (B, F, 5) of each frame and its neighbours, clamped at the ends of the clip.

    Args:
        start: (B,) first frames of the windows.
        frames: Frames of a window.
        length: Frames of a clip.
    """
    index = start[:, None, None] + np.arange(frames)[:, None] + np.arange(-CONTEXT, CONTEXT + 1)
    return index.clip(0, length - 1)


def _crop_corners(
    centres: NDArray[np.float64], side: int, whole: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the top left tokens (B, 2) of crops near mouths with centres (B, 2), at multiples of `CROP_STEP`."""
    corners = centres + rng.uniform(-2, 2, centres.shape) - (side - 1) / 2
    return (CROP_STEP * np.round(corners / CROP_STEP)).clip(0, whole - side).astype(np.int64)


def _cropped(windows: TrainingWindows, corners: Tensor, side: int) -> TrainingWindows:
    """Return the crops of ``side`` x ``side`` tokens at corners (B, 2) of the windows."""
    whole = windows.latents.shape[-1]
    pixels = windows.face_region.shape[-1] // whole
    batch = torch.arange(len(corners), device=corners.device)[:, None, None]

    def crop(images: Tensor, width: int) -> Tensor:
        """Return the crops of images (B, ..., width, width)."""
        offsets = torch.arange(side * width // whole, device=corners.device)
        y, x = (corner[:, None] * width // whole + offsets for corner in corners.T)
        return images.movedim((-2, -1), (1, 2))[batch, y[:, :, None], x[:, None, :]].movedim((1, 2), (-2, -1))

    def crop_mask(mask: Tensor) -> Tensor:
        """Return the crops of a mask (B, 3, tokens)."""
        width = math.isqrt(mask.shape[-1])
        return crop(mask.unflatten(-1, (width, width)), width).flatten(-2)

    return TrainingWindows(
        latents=crop(windows.latents, whole),
        motion=crop(windows.motion, whole),
        reference=crop(windows.reference, whole),
        audio=windows.audio,
        embedding=windows.embedding,
        face_region=crop(windows.face_region, whole * pixels),
        masks=tuple(crop_mask(mask) for mask in windows.masks),
        weight=crop(windows.weight, whole),
    )
