"""Clips' frames on a GPU, from which the autoencoder's batches are cut without a copy from the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .autoencoder_batch import Batch, box_masks
from .dataset import Clip


@dataclass(frozen=True)
class DeviceFrames:
    """frames: (N, 3, H, W) uint8; face_box, mouth_box: (N, 4) pixels left, top, right, bottom. N frames of all clips."""

    frames: Tensor
    face_box: Tensor
    mouth_box: Tensor

    @classmethod
    def stacked(cls, clips: list[Clip], device: torch.device | str) -> DeviceFrames:
        return cls(
            torch.cat([torch.from_numpy(np.array(clip.frames)).to(device) for clip in clips]).permute(
                0, 3, 1, 2
            ),
            *(
                torch.from_numpy(np.concatenate([getattr(clip.truth, name) for clip in clips])).to(device)
                for name in ("face_box", "mouth_box")
            ),
        )

    def sample(self, size: int, crop: int, generator: torch.Generator) -> Batch:
        """What `sample_batch` gives, of ``size`` random frames: squares of ``crop`` pixels, mirrored and recoloured at random."""
        device, side = self.frames.device, self.frames.shape[-1]

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.rand(size, *shape, generator=generator, device=device) * (high - low) + low

        chosen = torch.randint(len(self.frames), (size,), generator=generator, device=device)
        left, top, right, bottom = self.mouth_box[chosen].T
        near = torch.stack([(top + bottom) / 2, (left + right) / 2], dim=1) - crop / 2
        near = near + crop * torch.stack([uniform(-0.5, 0.2), uniform(-0.3, 0.3)], dim=1)
        corner = torch.where(uniform(0, 1, 1) < 0.8, near, uniform(0, side - crop, 2))
        corner = corner.clamp(0, side - crop).long()
        places = torch.arange(crop, device=device)
        mirrored = torch.where(uniform(0, 1, 1) < 0.5, places.flip(0), places)
        y, x = corner[:, :1] + places, corner[:, 1:] + mirrored  # (size, crop)
        images = self.frames.permute(0, 2, 3, 1)[chosen[:, None, None], y[:, :, None], x[:, None, :]]
        images = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        gain = uniform(0.85, 1.15, 1, 1, 1) * uniform(0.95, 1.05, 3, 1, 1)
        images = (images * gain + uniform(-0.1, 0.1, 1, 1, 1)).clamp(-1, 1)
        face, mouth = (box_masks(boxes[chosen], y, x) for boxes in (self.face_box, self.mouth_box))
        return Batch(images, face, mouth)
