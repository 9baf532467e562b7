"""Batches of frames for the autoencoder: whole, or parts around mouth and eyes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .dataset import Clip


@dataclass(frozen=True)
class Batch:
    """images: (N, 3, H, W) in [-1, 1]; face, mouth: (N, 1, H, W) in {0, 1}."""

    images: Tensor
    face: Tensor
    mouth: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(self.images.to(device), self.face.to(device), self.mouth.to(device))


def sample_batch(clips: list[Clip], size: int, rng: np.random.Generator, crop: int | None = None) -> Batch:
    """``size`` random frames; with ``crop`` a square part of each, mirrored and recoloured at random, mostly of the face.

    The autoencoder has no global statistic, so what it learns on parts holds for whole frames.
    """
    images, face, mouth = [], [], []
    for index in rng.integers(len(clips), size=size):
        clip = clips[index]
        frame = int(rng.integers(len(clip.frames)))
        image = torch.from_numpy(np.array(clip.frames[frame])).permute(2, 0, 1).float() / 127.5 - 1
        masks = [
            box_mask(boxes[frame], image.shape[1:]) for boxes in (clip.truth.face_box, clip.truth.mouth_box)
        ]
        if crop is not None:
            part = crop_around(clip.truth.mouth_box[frame], image.shape[-1], crop, rng)
            image, masks = image[part], [mask[part] for mask in masks]
            if rng.random() < 0.5:
                image, masks = image.flip(-1), [m.flip(-1) for m in masks]
            image = jitter_colour(image, rng)
        images.append(image)
        face.append(masks[0])
        mouth.append(masks[1])
    return Batch(torch.stack(images), torch.stack(face), torch.stack(mouth))


def crop_around(
    box: np.ndarray, side: int, crop: int, rng: np.random.Generator
) -> tuple[slice, slice, slice]:
    """A square of ``crop`` pixels: four times in five near the mouth and eyes, else anywhere."""
    middle = np.array([box[1] + box[3], box[0] + box[2]]) / 2 + rng.uniform([-0.5, -0.3], [0.2, 0.3]) * crop
    corner = middle - crop / 2 if rng.random() < 0.8 else rng.uniform(0, side - crop, 2)
    top, left = (int(v) for v in corner.clip(0, side - crop))
    return slice(None), slice(top, top + crop), slice(left, left + crop)


def box_mask(box: np.ndarray, shape: torch.Size) -> Tensor:
    """(1, H, W) with ones inside the box of pixels left, top, right, bottom."""
    mask = torch.zeros(1, *shape)
    left, top, right, bottom = (int(v) for v in box.round())
    mask[:, max(top, 0) : bottom, max(left, 0) : right] = 1
    return mask


def jitter_colour(image: Tensor, rng: np.random.Generator) -> Tensor:
    gain = torch.tensor(rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3), dtype=torch.float32)
    shift = float(rng.uniform(-0.1, 0.1))
    return (image * gain[:, None, None] + shift).clamp(-1, 1)


def box_masks(boxes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(N, 1, rows, columns): ones inside the boxes (N, 4), of pictures that show pixel rows y (N, rows) and columns x."""
    left, top, right, bottom = boxes.round().T[:, :, None]
    inside = ((y >= top) & (y < bottom))[:, :, None] & ((x >= left) & (x < right))[:, None, :]
    mask: Tensor = inside[:, None].float()
    return mask
