"""Batches of frames for the autoencoder: whole frames, or crops around the mouth and eyes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.frame_stores import FrameStore

FACE_CROP_SHARE = 0.8
"""Share of the crops that show the mouth or eyes; the others are anywhere."""


@dataclass(frozen=True)
class FrameBatch:
    """Frames with masks.

    Attributes:
        images: (N, 3, H, W) in [-1, 1].
        face: (N, 1, H, W), 1 inside the box of the face and 0 elsewhere.
        mouth: (N, 1, H, W), the same for the mouth.
    """

    images: Tensor
    face: Tensor
    mouth: Tensor


@dataclass(frozen=True)
class BatchRandom:
    """Random numbers for a batch of ``size`` frames, on the generator's device."""

    size: int
    generator: torch.Generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return uniform numbers (size, *shape) in [low, high)."""
        numbers = torch.rand(self.size, *shape, generator=self.generator, device=self.generator.device)
        return numbers * (high - low) + low

    def integers(self, stop: int) -> Tensor:
        """Return integers (size,) from 0 to ``stop`` - 1."""
        return torch.randint(stop, (self.size,), generator=self.generator, device=self.generator.device)


def sample_batch(
    frames: FrameStore, size: int, generator: torch.Generator, crop: int | None = None
) -> FrameBatch:
    """Return random frames, or augmented crops of them.

    The autoencoder uses no statistics of a whole frame, so what it learns on crops holds for whole frames.

    Args:
        frames: Frames to draw from.
        size: Number of frames.
        generator: Random generator on the device of ``frames``.
        crop: Pixels per side of square crops, mirrored and recoloured at random; None for whole frames as they are.
    """
    random = BatchRandom(size, generator)
    chosen = random.integers(len(frames.mouth_box))
    pixels = frames.read_frames(chosen)
    y, x = (torch.arange(side, device=pixels.device).expand(size, -1) for side in pixels.shape[1:3])
    if crop is not None:
        y, x = random_crops(frames.mouth_box[chosen], pixels.shape[1], crop, random)
    rows = torch.arange(size, device=pixels.device)[:, None, None]
    images = pixels[rows, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).float() / 127.5 - 1
    if crop is not None:
        images = recolour(images, random)
    face, mouth = (box_masks(boxes[chosen], y, x) for boxes in (frames.face_box, frames.mouth_box))
    return FrameBatch(images, face, mouth)


def random_crops(mouth_box: Tensor, side: int, crop: int, random: BatchRandom) -> tuple[Tensor, Tensor]:
    """Return pixel rows and columns, (N, crop) each, of one square crop per frame; half of them are mirrored.

    Args:
        mouth_box: (N, 4) left, top, right, bottom in pixels.
        side: Pixels per side of the frames.
        crop: Pixels per side of the crops.
        random: Random numbers for N frames.
    """
    left, top, right, bottom = mouth_box.T
    near = torch.stack([(top + bottom) / 2, (left + right) / 2], dim=1) - crop / 2
    near = near + crop * torch.stack([random.uniform(-0.5, 0.2), random.uniform(-0.3, 0.3)], dim=1)
    anywhere = random.uniform(0, 1, 1) >= FACE_CROP_SHARE
    corner = torch.where(anywhere, random.uniform(0, side - crop, 2), near)
    corner = corner.clamp(0, side - crop).long()
    offsets = torch.arange(crop, device=corner.device)
    columns = torch.where(random.uniform(0, 1, 1) < 0.5, offsets.flip(0), offsets)
    return corner[:, :1] + offsets, corner[:, 1:] + columns


def recolour(images: Tensor, random: BatchRandom) -> Tensor:
    """Return images (N, 3, H, W) with random brightness, contrast and colour balance."""
    gain = random.uniform(0.85, 1.15, 1, 1, 1) * random.uniform(0.95, 1.05, 3, 1, 1)
    return (images * gain + random.uniform(-0.1, 0.1, 1, 1, 1)).clamp(-1, 1)


def box_masks(boxes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return masks (N, 1, H, W) that are 1 inside the boxes and 0 elsewhere.

    Args:
        boxes: (N, 4) left, top, right, bottom in pixels.
        y: (N, H) pixel rows that the images show.
        x: (N, W) pixel columns that the images show.
    """
    left, top, right, bottom = boxes.round().T[:, :, None]
    inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
    mask: Tensor = inside[:, None].float()
    return mask
