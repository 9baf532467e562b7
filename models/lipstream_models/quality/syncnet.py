"""SyncNet's confidence that lips and voice belong together (Chung and Zisserman 2016), on weights that the user supplies.

The network and the measure are those of the published `syncnet_v2.model`: 25 frames a second, 16 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ..checkpoints.weights_file import WeightsError, find_mismatches, open_weights
from .image_quality import Boxes, Frames
from .mfcc import mfcc

SIDE = 224
SHIFT = 15  # frames by which sound and picture are moved against each other, either way
_FRAMES, _STEPS = 5, 20  # what a pair of inputs covers: frames, and steps of the coefficients
_MARGIN = 0.4  # around the face, of its size, as in training
_GREY = 110  # beyond the picture
_SMOOTHED = 13  # frames of the median over a face's places
_BATCH = 16


@dataclass(frozen=True)
class _Layer:
    """A convolution with normalisation and ReLU; pool: size, stride and padding of a maximum after it."""

    channels: tuple[int, int]
    kernel: tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    pool: tuple[tuple[int, ...], tuple[int, ...], int | tuple[int, ...]] | None = None
    slot: bool = False


_SOUND = (
    _Layer((1, 64), (3, 3), padding=1, slot=True),
    _Layer((64, 192), (3, 3), padding=1, pool=((3, 3), (1, 2), 0)),
    _Layer((192, 384), (3, 3), padding=1),
    _Layer((384, 256), (3, 3), padding=1),
    _Layer((256, 256), (3, 3), padding=1, pool=((3, 3), (2, 2), 0)),
    _Layer((256, 512), (5, 4)),
)
_LIPS = (
    _Layer((3, 96), (5, 7, 7), (1, 2, 2), pool=((1, 3, 3), (1, 2, 2), 0)),
    _Layer((96, 256), (1, 5, 5), (1, 2, 2), (0, 1, 1), pool=((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    _Layer((256, 256), (1, 3, 3), padding=(0, 1, 1)),
    _Layer((256, 256), (1, 3, 3), padding=(0, 1, 1)),
    _Layer((256, 256), (1, 3, 3), padding=(0, 1, 1), pool=((1, 3, 3), (1, 2, 2), 0)),
    _Layer((256, 512), (1, 6, 6)),
)


class SyncNet(nn.Module):
    """Two towers into one space of 1024 dimensions; the names are those of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _tower(_SOUND, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        self.netfcaud = _projection()
        self.netcnnlip = _tower(_LIPS, nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)
        self.netfclip = _projection()

    def hear(self, sound: Tensor) -> Tensor:
        """(B, 1, 13, 20) coefficients over a fifth of a second -> (B, 1024)."""
        heard: Tensor = self.netfcaud(self.netcnnaud(sound).flatten(1))
        return heard

    def see(self, lips: Tensor) -> Tensor:
        """(B, 3, 5, 224, 224) BGR in levels of 255 -> (B, 1024)."""
        seen: Tensor = self.netfclip(self.netcnnlip(lips).flatten(1))
        return seen


def load_syncnet(path: Path, device: torch.device) -> SyncNet:
    """From a file of tensors; raises WeightsError with what is missing or does not fit."""
    network = SyncNet()
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items() if _needed(name)}
    file = open_weights(path)
    # Counters of training steps: files of old versions of torch have none, and nothing here reads them.
    file = replace(file, shapes={name: shape for name, shape in file.shapes.items() if _needed(name)})
    if problems := find_mismatches(file, expected):
        raise WeightsError("expected SyncNet's weights (syncnet_v2.model); " + "; ".join(problems))
    network.load_state_dict({name: file.read(name) for name in expected}, strict=False)
    return network.to(device).eval().requires_grad_(False)


@torch.no_grad()
def sync_confidence(network: SyncNet, frames: Frames, boxes: Boxes, audio: NDArray[np.float32]) -> float:
    """How much nearer sound and lips are at the best offset than at the median one: 0 for no relation, 5 to 9 for real videos.

    frames: (T, H, W, 3) at 25 a second; boxes: (T, 4), the face in each; audio: (N,) at 16 kHz. NaN for less than six frames.
    """
    device = next(network.parameters()).device
    length = min(len(frames), len(audio) * 25 // 16_000)
    count = length - _FRAMES
    if count < 1:
        return float("nan")
    sound = mfcc((audio * 32768).round().clip(-32768, 32767))
    heard_in = torch.from_numpy(sound).unfold(0, _STEPS, 4)[:count, None]
    seen_in = face_crops(frames[:length], boxes[:length])[..., ::-1]
    pictures = torch.from_numpy(np.ascontiguousarray(seen_in)).permute(0, 3, 1, 2)
    lips = pictures.unfold(0, _FRAMES, 1).permute(0, 1, 4, 2, 3)[:count]
    heard = torch.cat([network.hear(part.to(device)) for part in heard_in.split(_BATCH)])
    seen = torch.cat([network.see(part.to(device).float()) for part in lips.split(_BATCH)])
    distances = mean_distances(seen, heard)
    return float(distances.median() - distances.min())


def mean_distances(seen: Tensor, heard: Tensor, shift: int = SHIFT) -> Tensor:
    """(T, C) each -> (2 shift + 1,) mean distance at every offset; zeros stand in for sound beyond the ends."""
    padded = nn.functional.pad(heard, (0, 0, shift, shift))
    shifted = [padded[offset : offset + len(seen)] for offset in range(2 * shift + 1)]
    return torch.stack([nn.functional.pairwise_distance(seen, other).mean() for other in shifted])


def face_crops(frames: Frames, boxes: Boxes) -> Frames:
    """(T, 224, 224, 3): the face with a margin on both sides and twice that below."""
    half = _steady((boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2)
    across, down = (_steady((boxes[:, axis] + boxes[:, axis + 2]) / 2) for axis in (0, 1))
    return np.stack(
        [
            _crop(frame, x - h * (1 + _MARGIN), y - h, 2 * h * (1 + _MARGIN))
            for frame, x, y, h in zip(frames, across, down, half, strict=True)
        ]
    )


def _crop(frame: Frames, left: float, top: float, side: float) -> Frames:
    size = max(1, round(side))
    ground = np.full((size, size, 3), _GREY, np.uint8)
    x, y = round(left), round(top)
    part = frame[max(0, y) : max(0, y + size), max(0, x) : max(0, x + size)]
    row, column = max(0, -y), max(0, -x)
    ground[row : row + part.shape[0], column : column + part.shape[1]] = part
    return np.array(Image.fromarray(ground).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _steady(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The running median, the ends repeated."""
    reach = _SMOOTHED // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, mode="edge"), _SMOOTHED)
    steady: NDArray[np.floating] = np.median(windows, axis=1)
    return steady


def _needed(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def _tower(
    layers: Sequence[_Layer], convolution: type[nn.Module], norm: type[nn.Module], pooling: type[nn.Module]
) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in layers:
        parts += [
            convolution(*layer.channels, layer.kernel, layer.stride, layer.padding),
            norm(layer.channels[1]),
            nn.ReLU(),
        ]
        if layer.pool is not None:
            parts.append(pooling(*layer.pool))
        elif layer.slot:  # the published numbering counts a maximum over a single value here
            parts.append(nn.Identity())
    return nn.Sequential(*parts)


def _projection() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
