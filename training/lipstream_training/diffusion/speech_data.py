"""Audio features of speech with the blendshapes of its frames, for networks that map one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CONTEXT = 2
"""Neighbouring frames on either side that an audio window has."""
CHUNK = 2048


@dataclass(frozen=True)
class SpeechData:
    """N frames of all clips of a folder.

    Attributes:
        features: (N, blocks, channels) float16 audio features.
        index: (N, 5) for each frame the rows of ``features`` of its audio window.
        targets: (N, 52) blendshapes.
    """

    features: Tensor
    index: Tensor
    targets: Tensor

    @classmethod
    def from_folder(cls, folder: Path, track: str = "blendshapes") -> SpeechData:
        """Read what `stages.speech_features` wrote: ``track`` is "blendshapes", or "mouth" for the phones' part."""
        features, targets = [], []
        for path in sorted(folder.glob("[0-9]*.npz")):
            with np.load(path) as arrays:
                features.append(torch.from_numpy(arrays["features"]))
                targets.append(torch.from_numpy(arrays[track]).float())
        return cls(torch.cat(features), window_index([len(part) for part in features]), torch.cat(targets))

    def windows(self, rows: Tensor) -> Tensor:
        """Return the audio windows (B, 5, blocks, channels) of frames (B,)."""
        return self.features[self.index[rows]].float()

    def chunks(self) -> tuple[Tensor, ...]:
        """Return the rows of all frames, divided so that a network can process one part at a time."""
        parts: tuple[Tensor, ...] = torch.arange(len(self.index)).split(CHUNK)
        return parts


def window_index(lengths: list[int]) -> Tensor:
    """Return the rows (N, 5) of every frame's audio window, for clips of these lengths one after the other.

    Windows are clamped at the ends of their clips.
    """
    parts, start = [], 0
    for length in lengths:
        frames = torch.arange(length)[:, None] + torch.arange(-CONTEXT, CONTEXT + 1)
        parts.append(frames.clamp(0, length - 1) + start)
        start += length
    return torch.cat(parts)


def correlation(a: Tensor, b: Tensor) -> float:
    """Return Pearson's correlation of two series (N,)."""
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
