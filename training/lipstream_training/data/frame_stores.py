"""Stores of the frames that autoencoder batches are drawn from: files of clips, or a GPU's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from .dataset import RenderedClip


class FrameStore(Protocol):
    """N frames of all clips, with boxes (N, 4) left, top, right, bottom in pixels on the store's device."""

    @property
    def face_box(self) -> Tensor:
        """Boxes (N, 4) of the faces."""

    @property
    def mouth_box(self) -> Tensor:
        """Boxes (N, 4) of the mouths."""

    def read_frames(self, chosen: Tensor) -> Tensor:
        """Return the frames (n, H, W, 3) uint8 with indices (n,)."""


@dataclass(frozen=True)
class MappedFrames:
    """Frames that are read from memory-mapped files when they are needed.

    Attributes:
        clips: The clips.
        first: Index of each clip's first frame.
        face_box: (N, 4).
        mouth_box: (N, 4).
    """

    clips: Sequence[RenderedClip]
    first: Tensor
    face_box: Tensor
    mouth_box: Tensor

    @classmethod
    def from_clips(cls, clips: Sequence[RenderedClip]) -> Self:
        """Return the store of some clips."""
        first = torch.tensor([0, *(len(clip.frames) for clip in clips[:-1])]).cumsum(0)
        return cls(clips, first, _boxes(clips, "face_box"), _boxes(clips, "mouth_box"))

    def read_frames(self, chosen: Tensor) -> Tensor:
        """Return the frames (n, H, W, 3) uint8 with indices (n,)."""
        clips = torch.searchsorted(self.first, chosen, right=True) - 1
        pairs = zip(clips.tolist(), (chosen - self.first[clips]).tolist(), strict=True)
        return torch.from_numpy(np.stack([self.clips[clip].frames[frame] for clip, frame in pairs]))


@dataclass(frozen=True)
class DeviceFrames:
    """Frames (N, H, W, 3) uint8 that all are in a device's memory, so that no batch is copied from the host."""

    frames: Tensor
    face_box: Tensor
    mouth_box: Tensor

    @classmethod
    def from_clips(cls, clips: Sequence[RenderedClip], device: torch.device | str) -> Self:
        """Return the store of some clips on a device."""
        frames = torch.cat([torch.from_numpy(np.array(clip.frames)).to(device) for clip in clips])
        return cls(frames, _boxes(clips, "face_box").to(device), _boxes(clips, "mouth_box").to(device))

    def read_frames(self, chosen: Tensor) -> Tensor:
        """Return the frames (n, H, W, 3) uint8 with indices (n,)."""
        return self.frames[chosen]


def store_frames(clips: Sequence[RenderedClip], device: str) -> FrameStore:
    """Return a store that reads files for a CPU, whose memory need not hold all frames, and one on a GPU otherwise."""
    return MappedFrames.from_clips(clips) if device == "cpu" else DeviceFrames.from_clips(clips, device)


def _boxes(clips: Sequence[RenderedClip], name: str) -> Tensor:
    """Return one kind of boxes (N, 4) of every frame of all clips."""
    return torch.from_numpy(np.concatenate([getattr(clip.truth, name) for clip in clips]))
