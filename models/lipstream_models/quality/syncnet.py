"""SyncNet's confidence that lips and audio belong together (Chung and Zisserman 2016).

Network and measure are those of the published `syncnet_v2.model` (25 frames a second, 16 kHz), a file that the
user supplies.
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

from ..audio.samples import SAMPLES_PER_FRAME
from ..checkpoints.weights_file import find_mismatches, open_weights
from ..errors import WeightsError
from .image_quality import Boxes, Frames
from .mfcc import mfcc

SIDE = 224
MAX_SHIFT = 15  # frames by which audio and lips are shifted against each other, either way
_FRAMES, _STEPS = 5, 20  # of a pair of inputs: frames, and steps of the coefficients
_MARGIN = 0.4  # around the face, in units of its size, as in training
_GREY = 110  # outside the frame
_MEDIAN_FRAMES = 13  # of the median over a face's positions
_BATCH = 16


@dataclass(frozen=True)
class _Layer:
    """A convolution with normalisation and ReLU.

    Attributes:
        channels: Input and output channels.
        kernel: Size of the kernel.
        stride: Stride of the convolution.
        padding: Padding of the convolution.
        pool: Kernel, stride and padding of a max pooling after it.
        placeholder: Whether the published numbering counts a pooling over a single value here.
    """

    channels: tuple[int, int]
    kernel: tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    pool: tuple[tuple[int, ...], tuple[int, ...], int | tuple[int, ...]] | None = None
    placeholder: bool = False


_AUDIO = (
    _Layer((1, 64), (3, 3), padding=1, placeholder=True),
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
    """Audio and lip towers into one space of 1024 dimensions, with the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _tower(_AUDIO, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
        self.netfcaud = _projection()
        self.netcnnlip = _tower(_LIPS, nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)
        self.netfclip = _projection()

    def embed_audio(self, coefficients: Tensor) -> Tensor:
        """Embed coefficients of a fifth of a second: (B, 1, 13, 20) -> (B, 1024)."""
        embedding: Tensor = self.netfcaud(self.netcnnaud(coefficients).flatten(1))
        return embedding

    def embed_lips(self, lips: Tensor) -> Tensor:
        """Embed five frames: (B, 3, 5, 224, 224) BGR in levels of 255 -> (B, 1024)."""
        embedding: Tensor = self.netfclip(self.netcnnlip(lips).flatten(1))
        return embedding


def load_syncnet(path: Path, device: torch.device) -> SyncNet:
    """Load a file of tensors.

    Raises:
        WeightsError: The file is missing, or tensors are missing or do not fit.
    """
    network = SyncNet()
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items() if _needed(name)}
    file = open_weights(path)
    # Counters of training steps are not used, and files of old versions of torch have none.
    file = replace(file, shapes={name: shape for name, shape in file.shapes.items() if _needed(name)})
    if problems := find_mismatches(file, expected):
        raise WeightsError("expected SyncNet's weights (syncnet_v2.model); " + "; ".join(problems))
    network.load_state_dict({name: file.read(name) for name in expected}, strict=False)
    return network.to(device).eval().requires_grad_(False)


@torch.no_grad()
def sync_confidence(network: SyncNet, frames: Frames, boxes: Boxes, audio: NDArray[np.float32]) -> float:
    """Return how much nearer audio and lips are at the best offset than at the median one.

    About 0 for unrelated audio, 5 to 9 for real videos, NaN for less than six frames.

    Args:
        network: A loaded network.
        frames: (T, H, W, 3) uint8 at 25 frames a second.
        boxes: (T, 4) the face in each frame.
        audio: (N,) at 16 kHz.
    """
    device = next(network.parameters()).device
    length = min(len(frames), len(audio) // SAMPLES_PER_FRAME)
    count = length - _FRAMES
    if count < 1:
        return float("nan")
    coefficients = mfcc((audio * 32768).round().clip(-32768, 32767))
    audio_inputs = torch.from_numpy(coefficients).unfold(0, _STEPS, 4)[:count, None]
    crops = face_crops(frames[:length], boxes[:length])[..., ::-1]
    images = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2)
    lip_inputs = images.unfold(0, _FRAMES, 1).permute(0, 1, 4, 2, 3)[:count]
    audio_embeddings = torch.cat(
        [network.embed_audio(part.to(device)) for part in audio_inputs.split(_BATCH)]
    )
    lips = torch.cat([network.embed_lips(part.to(device).float()) for part in lip_inputs.split(_BATCH)])
    distances = mean_distances(lips, audio_embeddings)
    return float(distances.median() - distances.min())


def mean_distances(lips: Tensor, audio: Tensor, shift: int = MAX_SHIFT) -> Tensor:
    """Return (2 shift + 1,) mean distances of embeddings (T, C) at every offset; zeros beyond the ends."""
    padded = nn.functional.pad(audio, (0, 0, shift, shift))
    shifted = [padded[offset : offset + len(lips)] for offset in range(2 * shift + 1)]
    return torch.stack([nn.functional.pairwise_distance(lips, other).mean() for other in shifted])


def face_crops(frames: Frames, boxes: Boxes) -> Frames:
    """Crop faces of frames (T, H, W, 3) by boxes (T, 4), with a margin at the sides and twice that below.

    Returns:
        (T, 224, 224, 3).
    """
    half = _running_median((boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2)
    across, down = (_running_median((boxes[:, axis] + boxes[:, axis + 2]) / 2) for axis in (0, 1))
    return np.stack(
        [
            _crop(frame, x - h * (1 + _MARGIN), y - h, 2 * h * (1 + _MARGIN))
            for frame, x, y, h in zip(frames, across, down, half, strict=True)
        ]
    )


def _crop(frame: Frames, left: float, top: float, side: float) -> Frames:
    size = max(1, round(side))
    canvas = np.full((size, size, 3), _GREY, np.uint8)
    x, y = round(left), round(top)
    part = frame[max(0, y) : max(0, y + size), max(0, x) : max(0, x + size)]
    row, column = max(0, -y), max(0, -x)
    canvas[row : row + part.shape[0], column : column + part.shape[1]] = part
    return np.array(Image.fromarray(canvas).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _running_median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the running median of (T,), the ends repeated."""
    reach = _MEDIAN_FRAMES // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, reach, mode="edge"), _MEDIAN_FRAMES)
    medians: NDArray[np.floating] = np.median(windows, axis=1)
    return medians


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
        elif layer.placeholder:
            parts.append(nn.Identity())
    return nn.Sequential(*parts)


def _projection() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
