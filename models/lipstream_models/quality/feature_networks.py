"""Feature networks of FID and FVD: TorchScript files that the user supplies.

FID uses the Inception network of StyleGAN's metrics (inception-2015-12-05.pt), FVD the I3D of StyleGAN-V
(i3d_torchscript.pt).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import WeightsError
from .image_quality import Frames

CLIP_FRAMES = 16
"""Frames of a clip for I3D."""
_BATCH = 16
FeatureExtractor = Callable[[Frames], NDArray[np.float32]]


def frame_features(path: Path, device: torch.device) -> FeatureExtractor:
    """Load Inception: (T, H, W, 3) uint8 frames -> (T, 2048) features.

    Raises:
        WeightsError: The file is missing or another network.
    """
    network = load_script(path, device)

    @torch.no_grad()
    def features(frames: Frames) -> NDArray[np.float32]:
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).contiguous()
        parts = [network(part.to(device), return_features=True) for part in images.split(_BATCH)]
        return _check_features(path, torch.cat(parts), len(frames))

    return features


def video_features(path: Path, device: torch.device) -> FeatureExtractor:
    """Load I3D: (T, H, W, 3) uint8 frames -> (T // 16, 400) features of consecutive clips; (0, 0) without one.

    Raises:
        WeightsError: The file is missing or another network.
    """
    network = load_script(path, device)

    @torch.no_grad()
    def features(frames: Frames) -> NDArray[np.float32]:
        count = len(frames) // CLIP_FRAMES
        if not count:
            return np.zeros((0, 0), np.float32)
        clips = torch.from_numpy(np.ascontiguousarray(frames[: count * CLIP_FRAMES])).unflatten(
            0, (count, CLIP_FRAMES)
        )
        videos = clips.permute(0, 4, 1, 2, 3)
        parts = [
            network(video[None].to(device).float(), rescale=True, resize=True, return_features=True)
            for video in videos
        ]
        return _check_features(path, torch.cat(parts), count)

    return features


def load_script(path: Path, device: torch.device) -> Callable[..., Tensor]:
    """Load a TorchScript file in evaluation mode. It contains code that is run: load only trusted files.

    Raises:
        WeightsError: The file is missing or no TorchScript.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: missing; expected a TorchScript file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch deprecates the format that these networks are published in
            script = torch.jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path}: expected a TorchScript file, got something else ({reason})") from error
    network: Callable[..., Tensor] = script.eval()
    return network


def _check_features(path: Path, features: Tensor, count: int) -> NDArray[np.float32]:
    if features.ndim != 2 or len(features) != count:
        raise WeightsError(
            f"{path}: expected ({count}, channels) features, got {tuple(features.shape)}; is it the right network?"
        )
    return features.float().cpu().numpy()
