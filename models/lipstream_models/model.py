"""A loaded talking-head model: networks, latent codec, audio encoder and sampling defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from .audio.encoder import AudioEncoder
from .autoencoders.base import LatentCodec
from .config import JsonConfig, SchedulerConfig
from .networks import Network
from .portrait import PortraitSettings
from .warping.flow_warp import FlowWarp


@dataclass(frozen=True)
class SamplingDefaults(JsonConfig):
    """Sampling settings that a model was tuned for. Each may be overridden when a stream is opened.

    Attributes:
        preset: preset of rendered files.
        steps: DDIM steps.
        guidance: guidance scale.
        window: frames of a window.
        motion_scale: weights of audio attention over the full frame, the face and the lips.
        last_timestep: lowest timestep (`DDIMSchedule.trailing`).
        realtime_steps: DDIM steps of the preset "realtime"; None: the same as ``steps``.
        noise_floor: see `FlowWarp.denoise_residual`.
    """

    title: ClassVar[str] = "sampling defaults"

    preset: str = "exact"
    steps: int = 40
    guidance: float = 3.5
    window: int = 16
    motion_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    last_timestep: int = 0
    realtime_steps: int | None = None
    noise_floor: float = 0.0

    def steps_for(self, preset: str) -> int:
        """Return the default number of steps of a preset."""
        return self.steps if preset != "realtime" or self.realtime_steps is None else self.realtime_steps


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that the pipeline needs.

    Attributes:
        name: "bundled" or "hallo".
        network: the five trained networks.
        codec: pixels to latents and back.
        audio: audio encoder.
        scheduler: noise schedule.
        portrait: how portraits are prepared.
        defaults: default sampling settings.
        device: device of all weights.
        dtype: number format of the networks.
        fps: frames per second.
        residual_scale: if given, the denoiser works on (frame latents - portrait latents) / residual_scale, so that
            static parts need not be learned; None: on the latents themselves, as in Hallo.
        warp: if given, the residual is relative to the portrait as warped and painted by the flow channels, which
            follow the latent channels and have the same scale.
        identify: face embedding (512,) of a portrait (H, W, 3); None: the portrait's geometric embedding is used.
    """

    name: str
    network: Network
    codec: LatentCodec
    audio: AudioEncoder
    scheduler: SchedulerConfig
    portrait: PortraitSettings
    defaults: SamplingDefaults
    device: torch.device
    dtype: torch.dtype
    fps: int = 25
    residual_scale: float | None = None
    warp: FlowWarp | None = None
    identify: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None

    @property
    def size(self) -> int:
        """Side of the square frame in pixels."""
        return self.portrait.size

    @property
    def motion_frames(self) -> int:
        """Number of last frames that the next window is conditioned on."""
        return self.network.config.motion_frames
