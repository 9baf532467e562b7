"""A loaded talking-head model: networks, codec, audio encoder, and how they are meant to be sampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .audio import AudioEncoder
from .autoencoders.base import LatentCodec
from .config import SchedulerConfig
from .networks import Network
from .portrait import PortraitSettings
from .warping.flow_warp import Warp


@dataclass(frozen=True)
class SamplingDefaults:
    """What a model was tuned for; each may be overridden when a stream is opened.

    preset: how a file is rendered; steps: DDIM steps; realtime_steps: those of the preset "realtime", None for as many;
    guidance: guidance scale; window: frames a clip window; motion_scale: weights of the audio attention over the whole picture,
    the face and the lips; last_timestep: what the steps go down to (`DDIMSchedule.trailing`); noise_floor: see `Warp.kept`.
    """

    preset: str = "exact"
    steps: int = 40
    guidance: float = 3.5
    window: int = 16
    motion_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    last_timestep: int = 0
    realtime_steps: int | None = None
    noise_floor: float = 0.0

    def steps_for(self, preset: str) -> int:
        """Steps of a preset where none are asked for."""
        return self.steps if preset != "realtime" or self.realtime_steps is None else self.realtime_steps


@dataclass(frozen=True, eq=False)
class Model:
    """Everything the engine needs. ``size`` is the side of the square picture in pixels, ``fps`` its frames a second.

    identify: portrait (H, W, 3) to face embedding (512,); without it the portrait's own geometry embedding is used.
    spread: where given, what is denoised is how far each frame's latents are from the portrait's, in units of this size, so that
    what does not move need not be learned; None: the latents themselves, as in Hallo.
    warp: where given, the distance is that from the portrait as moved and painted by the flow channels, which follow the latents'
    and are in the same units.
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
    spread: float | None = None
    warp: Warp | None = None
    identify: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None

    @property
    def size(self) -> int:
        return self.portrait.size

    @property
    def motion_frames(self) -> int:
        return self.network.config.motion_frames
