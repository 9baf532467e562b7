"""Hallo at its full size on a GPU: time needs no trained weights, so they are random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from diffusers import AutoencoderKL

from lipstream_accel.plan import Plan
from lipstream_accel.presets import preset
from lipstream_accel.sampling import sample
from lipstream_models.analysis.meta_models import FACE_SHARE, FullSize, conditions_of
from lipstream_models.device.memory_format import channels_last
from lipstream_models.device.precision import training_dtype
from lipstream_models.device.timer import Stopwatch
from lipstream_models.networks import Network
from lipstream_models.networks.conditions import Conditions
from lipstream_models.scheduler import ddim_schedule

SD_VAE_CHANNELS = (128, 256, 512, 512)


@dataclass(frozen=True)
class FullSizeSpeed:
    """One clip window for each of `batch` sessions: seconds, medians. frames_a_second: of all sessions, with the VAE.

    memory_gb: allocated on the GPU at its most.
    """

    preset: str
    batch: int
    denoising: float
    decoding: float
    frames_a_second: float
    memory_gb: float


class RandomModel:
    """A network and a VAE with random weights and conditions, in bfloat16 where the device computes in it, else float32.

    vae_channels: channels of the VAE's four levels, by default those of Stable Diffusion.
    """

    def __init__(self, size: FullSize, device: str, vae_channels: Sequence[int]) -> None:
        self.size = size
        self.device = torch.device(device)
        self.dtype = training_dtype(self.device)
        with torch.device(device):
            torch.set_default_dtype(self.dtype)
            try:
                self.network = channels_last(Network(size.network)).eval().requires_grad_(False)
                vae: Any = AutoencoderKL(
                    down_block_types=("DownEncoderBlock2D",) * 4,
                    up_block_types=("UpDecoderBlock2D",) * 4,
                    block_out_channels=tuple(vae_channels),
                    layers_per_block=2,
                    latent_channels=size.network.latent_channels,
                )
            finally:
                torch.set_default_dtype(torch.float32)
        self.vae = vae.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def conditions(self, batch: int, project: bool) -> Conditions:
        some = partial(torch.randn, device=self.device, dtype=self.dtype)
        return conditions_of(self.size, self.network, some, self.size.defaults.guidance > 1, project, batch)

    def turn(self, plan: Plan, conditions: Conditions, batch: int) -> dict[str, float]:
        """Seconds of one denoising and decoding."""
        side, frames = self.size.side, self.size.defaults.window
        schedule = ddim_schedule(self.size.scheduler, plan.steps)
        shape = (batch, self.size.network.sample_channels, frames, side, side)
        noise = torch.randn(shape, device=self.device, dtype=self.dtype)
        face = torch.arange(int(FACE_SHARE * self.size.tokens), device=self.device)
        with torch.no_grad():
            watch = Stopwatch(self.device)
            unet = self.network.denoising_unet
            foreground = face if plan.needs_foreground else None
            latents = sample(unet, plan, schedule, noise, conditions, self.size.defaults.guidance, foreground)
            watch.mark("denoising")
            for clip in latents.transpose(1, 2):
                self.vae.decode(clip.contiguous(memory_format=torch.channels_last))
            watch.mark("decoding")
            return watch.seconds()


def measure_full_size(
    size: FullSize,
    device: str,
    presets: Sequence[str],
    batches: Sequence[int],
    turns: int,
    vae_channels: Sequence[int] = SD_VAE_CHANNELS,
) -> list[FullSizeSpeed]:
    """Presets in turns, for each batch size. Raises torch.OutOfMemoryError where a batch does not fit."""
    model = RandomModel(size, device, vae_channels)
    steps, frames = size.defaults.steps, size.defaults.window
    plans = {name: preset(name, steps) for name in presets}
    results = []
    for batch in batches:
        conditions = {
            exact: model.conditions(batch, exact) for exact in {plan.exact for plan in plans.values()}
        }
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in presets}
        peaks: dict[str, float] = {}
        for turn in range(turns + 1):
            for name, plan in plans.items():
                _forget_peak(model.device)
                took = model.turn(plan, conditions[plan.exact], batch)
                peaks[name] = _peak_gb(model.device)
                if turn:  # the first one chooses kernels
                    taken[name].append(took)
        for name in presets:
            denoising, decoding = (median(t[part] for t in taken[name]) for part in ("denoising", "decoding"))
            speed = batch * frames / (denoising + decoding)
            results.append(FullSizeSpeed(name, batch, denoising, decoding, speed, peaks[name]))
    return results


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_gb(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
