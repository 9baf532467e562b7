"""Batches of frames for the autoencoder: whole, or parts around mouth and eyes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.frame_stores import FrameStore


@dataclass(frozen=True)
class Batch:
    """images: (N, 3, H, W) in [-1, 1]; face, mouth: (N, 1, H, W) in {0, 1}."""

    images: Tensor
    face: Tensor
    mouth: Tensor


@dataclass(frozen=True)
class Draw:
    """Random numbers for a batch of so many frames, on the generator's device."""

    size: int
    generator: torch.Generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(size, *shape)"""
        device = self.generator.device
        drawn = torch.rand(self.size, *shape, generator=self.generator, device=device)
        return drawn * (high - low) + low

    def below(self, count: int) -> Tensor:
        """(size,) whole numbers."""
        return torch.randint(count, (self.size,), generator=self.generator, device=self.generator.device)


def sample_batch(frames: FrameStore, size: int, generator: torch.Generator, crop: int | None = None) -> Batch:
    """``size`` random frames; with ``crop`` a square part of each, mirrored and recoloured at random, mostly of the face.

    The autoencoder has no global statistic, so what it learns on parts holds for whole frames. ``generator`` is of the
    store's device.
    """
    draw = Draw(size, generator)
    chosen = draw.below(len(frames.mouth_box))
    pictures = frames.take(chosen)
    y, x = (torch.arange(side, device=pictures.device).expand(size, -1) for side in pictures.shape[1:3])
    if crop is not None:
        y, x = part_around(frames.mouth_box[chosen], pictures.shape[1], crop, draw)
    rows = torch.arange(size, device=pictures.device)[:, None, None]
    images = pictures[rows, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).float() / 127.5 - 1
    if crop is not None:
        images = recoloured(images, draw)
    face, mouth = (box_masks(boxes[chosen], y, x) for boxes in (frames.face_box, frames.mouth_box))
    return Batch(images, face, mouth)


def part_around(mouth_box: Tensor, side: int, crop: int, draw: Draw) -> tuple[Tensor, Tensor]:
    """Pixel rows and columns (N, crop) of a square: four times in five near the mouth and eyes, else anywhere; half of them
    mirrored.
    """
    left, top, right, bottom = mouth_box.T
    near = torch.stack([(top + bottom) / 2, (left + right) / 2], dim=1) - crop / 2
    near = near + crop * torch.stack([draw.uniform(-0.5, 0.2), draw.uniform(-0.3, 0.3)], dim=1)
    corner = torch.where(draw.uniform(0, 1, 1) < 0.8, near, draw.uniform(0, side - crop, 2))
    corner = corner.clamp(0, side - crop).long()
    places = torch.arange(crop, device=corner.device)
    across = torch.where(draw.uniform(0, 1, 1) < 0.5, places.flip(0), places)
    return corner[:, :1] + places, corner[:, 1:] + across


def recoloured(images: Tensor, draw: Draw) -> Tensor:
    gain = draw.uniform(0.85, 1.15, 1, 1, 1) * draw.uniform(0.95, 1.05, 3, 1, 1)
    return (images * gain + draw.uniform(-0.1, 0.1, 1, 1, 1)).clamp(-1, 1)


def box_masks(boxes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(N, 1, rows, columns): ones inside the boxes (N, 4), of pictures that show pixel rows y (N, rows) and columns x."""
    left, top, right, bottom = boxes.round().T[:, :, None]
    inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
    mask: Tensor = inside[:, None].float()
    return mask
