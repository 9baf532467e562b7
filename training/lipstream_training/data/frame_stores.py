"""Where the frames are that the autoencoder's batches are cut from: in files of clips, or on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from .dataset import Clip


class FrameStore(Protocol):
    """N frames of all clips. face_box, mouth_box: (N, 4) pixels left, top, right, bottom, on the store's device."""

    @property
    def face_box(self) -> Tensor: ...

    @property
    def mouth_box(self) -> Tensor: ...

    def take(self, chosen: Tensor) -> Tensor:
        """The frames of those numbers: (n, H, W, 3) uint8."""


@dataclass(frozen=True)
class MappedFrames:
    """clips: whose frames are read when they are asked for. begins: the number of each clip's first frame."""

    clips: Sequence[Clip]
    begins: Tensor
    face_box: Tensor
    mouth_box: Tensor

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> Self:
        begins = torch.tensor([0, *(len(clip.frames) for clip in clips[:-1])]).cumsum(0)
        return cls(clips, begins, boxes(clips, "face_box"), boxes(clips, "mouth_box"))

    def take(self, chosen: Tensor) -> Tensor:
        clips = torch.searchsorted(self.begins, chosen, right=True) - 1
        places = zip(clips.tolist(), (chosen - self.begins[clips]).tolist(), strict=True)
        return torch.from_numpy(np.stack([self.clips[clip].frames[frame] for clip, frame in places]))


@dataclass(frozen=True)
class DeviceFrames:
    """frames: (N, H, W, 3) uint8, all in a device's memory: no batch is copied from the host."""

    frames: Tensor
    face_box: Tensor
    mouth_box: Tensor

    @classmethod
    def of(cls, clips: Sequence[Clip], device: torch.device | str) -> Self:
        frames = torch.cat([torch.from_numpy(np.array(clip.frames)).to(device) for clip in clips])
        return cls(frames, boxes(clips, "face_box").to(device), boxes(clips, "mouth_box").to(device))

    def take(self, chosen: Tensor) -> Tensor:
        return self.frames[chosen]


def boxes(clips: Sequence[Clip], name: str) -> Tensor:
    """(N, 4), of every frame of all clips."""
    return torch.from_numpy(np.concatenate([getattr(clip.truth, name) for clip in clips]))
