"""The networks behind FID and FVD, TorchScript files that the user supplies; neither their weights nor their code are ours.

FID: the Inception of StyleGAN's metrics (inception-2015-12-05.pt). FVD: the I3D of StyleGAN-V (i3d_torchscript.pt).
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

CLIP = 16
"""Frames of a clip that I3D sees."""
_BATCH = 16
Features = Callable[[Frames], NDArray[np.float32]]


def frame_features(path: Path, device: torch.device) -> Features:
    """(T, H, W, 3) frames to features (T, 2048), through Inception. Raises WeightsError."""
    network = load_script(path, device)

    @torch.no_grad()
    def features(frames: Frames) -> NDArray[np.float32]:
        images = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).contiguous()
        parts = [network(part.to(device), return_features=True) for part in images.split(_BATCH)]
        return _checked(path, torch.cat(parts), len(frames))

    return features


def video_features(path: Path, device: torch.device) -> Features:
    """(T, H, W, 3) frames to features (T // 16, 400) of clips one after the other, through I3D; (0, 0) where there is no clip.

    Raises WeightsError.
    """
    network = load_script(path, device)

    @torch.no_grad()
    def features(frames: Frames) -> NDArray[np.float32]:
        count = len(frames) // CLIP
        if not count:
            return np.zeros((0, 0), np.float32)
        clips = torch.from_numpy(np.ascontiguousarray(frames[: count * CLIP])).unflatten(0, (count, CLIP))
        videos = clips.permute(0, 4, 1, 2, 3)
        parts = [
            network(video[None].to(device).float(), rescale=True, resize=True, return_features=True)
            for video in videos
        ]
        return _checked(path, torch.cat(parts), count)

    return features


def load_script(path: Path, device: torch.device) -> Callable[..., Tensor]:
    """A TorchScript file in evaluation mode. It holds code, which runs: use files that you trust. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would like other formats; these networks come in this one
            script = torch.jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path}: expected a TorchScript file, got something else ({reason})") from error
    network: Callable[..., Tensor] = script.eval()
    return network


def _checked(path: Path, features: Tensor, count: int) -> NDArray[np.float32]:
    if features.ndim != 2 or len(features) != count:
        raise WeightsError(
            f"{path}: expected ({count}, channels) features, got {tuple(features.shape)}; is it the right network?"
        )
    return features.float().cpu().numpy()
