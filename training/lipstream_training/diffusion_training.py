"""Trains the bundled diffusion model on encoded clips.

python -m lipstream_training.diffusion_training --latents DIR --run DIR
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipstream_models.config import NetworkConfig
from lipstream_models.memory_format import channels_last
from lipstream_models.networks import Network
from lipstream_models.precision import autocast
from lipstream_models.scheduler import alphas_cumprod

from .bundled_config import NETWORK
from .checkpoint import MovingAverage, load_state, log_line, save_state
from .latent_dataset import LatentClip, WindowOptions, Windows, load_latent_clips, sample_windows, spread_of
from .muon import muon_and_adamw
from .workers import Workers, launch

OUTER_LAYERS = ("conv_in", "conv_out", "face_locator", "time_embedding")


@dataclass(frozen=True)
class DiffusionTraining:
    """frames_per_step: how many frames a worker sees in a step; windows of each length in ``window_frames`` take turns."""

    steps: int = 20000
    frames_per_step: int = 16
    window_frames: tuple[int, ...] = (4, 8, 4, 16, 4, 12)
    learning_rate: float = 1.2e-3
    warmup: int = 60
    unconditional_share: float = 0.1
    weight_cap: float = 5.0
    average_decay: float = 0.995
    log_every: int = 20
    check_every: int = 200
    save_every: int = 50
    windows: WindowOptions = field(default_factory=WindowOptions)


class Trainee(torch.nn.Module):
    """The five networks with the prediction as their forward, so that wrappers and moving averages see one module."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Windows, noisy: Tensor, timestep: Tensor, unconditional: int) -> Tensor:
        """Predicts the clean latents (B, C, F, h, w). The first ``unconditional`` rows hear nothing and see no portrait."""
        network = self.network
        heard = torch.ones(len(noisy), device=noisy.device)
        heard[:unconditional] = 0
        identity = network.imageproj(windows.embedding * heard[:, None])
        audio = network.audioproj(windows.audio) * heard[:, None, None, None]
        face = network.face_locator(windows.face_region) * heard[:, None, None, None]
        source = network.reference_unet(windows.reference[unconditional:], identity[unconditional:])
        count = windows.motion.shape[1]
        with torch.no_grad():
            # The reference net learns from the portrait; a gradient through the motion frames too would cost as much again.
            motion = network.reference_unet(
                windows.motion.flatten(0, 1), identity.repeat_interleave(count, 0)
            )
        conditions = network.denoising_unet.prepare(
            {name: feature[:, None] for name, feature in source.items()},
            {name: feature.unflatten(0, (-1, count)) for name, feature in motion.items()},
            identity,
            audio,
            [mask.transpose(1, 2)[:, None] for mask in windows.masks],
            face[:, None],
            unconditional,
        )
        prediction: Tensor = network.denoising_unet(noisy, timestep, conditions)
        return prediction


def diffuse(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """Noisy latents; alpha (B,) is the cumulative product at each row's timestep."""
    signal, sigma = (x.sqrt()[:, None, None, None, None] for x in (alpha, 1 - alpha))
    return signal * clean + sigma * noise


def step_loss(
    trainee: Callable[..., Tensor],
    windows: Windows,
    alphas: Tensor,
    unconditional: int,
    generator: torch.Generator,
    weight_cap: float,
) -> Tensor:
    """Mean squared error of the clean latents, weighted over the picture, and over timesteps as in Min-SNR (Hang et al. 2023).

    Seen as an error of v, which is what all timesteps are weighted alike by, it is 1 / (1 - alpha) times as heavy. Held to
    ``weight_cap``, that keeps the nearly clean timesteps, which only copy what they are given, from taking most of the gradient.
    """
    rows = len(windows.latents)
    # One timestep from each of B equal slices: every batch sees the whole range, which steadies the loss.
    slices = (torch.arange(rows) + torch.rand(rows, generator=generator)) / rows
    timestep = (
        (slices * len(alphas)).long().clamp(max=len(alphas) - 1)[torch.randperm(rows, generator=generator)]
    )
    noise = torch.randn(windows.latents.shape, generator=generator)
    noisy = diffuse(windows.latents, noise, alphas[timestep])
    with autocast("cpu"):
        prediction = trainee(windows, noisy, timestep, unconditional)
    importance = (1 / (1 - alphas[timestep])).clamp(max=weight_cap)
    weight = windows.weight / windows.weight.mean() * importance[:, None, None, None, None]
    loss: Tensor = ((prediction.float() - windows.latents).square() * weight).mean()
    return loss


def learning_rate(step: int, options: DiffusionTraining) -> float:
    """Linear warm-up, flat, linear decay over the last quarter."""
    rise = min(1.0, (step + 1) / options.warmup)
    fall = min(1.0, max(0.05, (options.steps - step) / (0.25 * options.steps)))
    return options.learning_rate * min(rise, fall)


@torch.no_grad()
def check(
    trainee: Trainee, weights: dict[str, Tensor], clips: list[LatentClip], alphas: Tensor, spread: float
) -> float:
    """Loss of the averaged weights on fixed windows and noise of clips that are not trained on."""

    def forward(*arguments: object) -> Tensor:
        result: Tensor = torch.func.functional_call(trainee, weights, arguments)
        return result

    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    windows = sample_windows(clips, 8, 12, WindowOptions(), spread, rng)
    losses = [
        step_loss(forward, windows, alphas, 0, generator, DiffusionTraining.weight_cap) for _ in range(2)
    ]
    return float(torch.stack(losses).mean())


def train(
    clips: list[LatentClip],
    held_out: list[LatentClip],
    run: Path,
    options: DiffusionTraining,
    config: NetworkConfig,
    minutes: float,
    workers: Workers,
) -> None:
    """Every worker takes its own windows of a step; all make the same update, and the first one keeps the books."""
    torch.manual_seed(0)
    training = Training(config, options, load_state(run / "audio_projection.pt"), spread_of(clips))
    first = training.resume(load_state(run / "diffusion.pt"))
    alphas = alphas_cumprod()
    start, total = time.monotonic(), 0.0
    for step in range(first, options.steps):
        total += training.step(step, clips, alphas, workers)
        seconds = time.monotonic() - start
        done = workers.agree(step + 1 == options.steps or seconds > minutes * 60)
        if not math.isfinite(total):
            raise FloatingPointError(
                f"the loss is no longer finite at step {step}; resume from the last checkpoint"
            )
        if workers.first and (step + 1) % options.log_every == 0:
            figures = {"loss": total / options.log_every, "seconds": seconds}
            if (step + 1) % options.check_every == 0:
                weights = training.average.state_for(training.trainee)
                figures["held_out"] = check(training.trainee, weights, held_out, alphas, training.spread)
            log_line(run / "diffusion.jsonl", step=step + 1, **figures)
        if (step + 1) % options.log_every == 0:
            total = 0.0
        if workers.first and ((step + 1) % options.save_every == 0 or done):
            save_state(run / "diffusion.pt", training.state(step + 1))
        if done:
            return


class Training:
    """What a run carries from step to step: networks, optimiser, moving average."""

    def __init__(
        self,
        config: NetworkConfig,
        options: DiffusionTraining,
        audio_projection: dict[str, Tensor] | None,
        spread: float,
    ) -> None:
        self.spread = spread
        network = Network(config)
        if audio_projection is not None:
            # It has heard far more speech than the clips hold, so they do not teach it again.
            network.audioproj.load_state_dict(audio_projection)
            network.audioproj.requires_grad_(False)
        self.options = options
        self.trainee = channels_last(Trainee(network))
        self.trained = [p for p in self.trainee.parameters() if p.requires_grad]
        self.optimizers = muon_and_adamw(self.trainee, options.learning_rate, OUTER_LAYERS, 1e-2)
        self.average = MovingAverage(self.trainee, options.average_decay)

    def resume(self, state: dict[str, Any] | None) -> int:
        """Continues from a saved state; returns the step to go on with."""
        if state is None:
            return 0
        self.trainee.load_state_dict(state["model"])
        for optimizer, held in zip(self.optimizers, state.get("optimizers", []), strict=False):
            optimizer.load_state_dict(held)
        self.average.values = state["average"]
        self.spread = state["spread"]
        return int(state["step"])

    def state(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "model": self.trainee.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.values,
            "spread": self.spread,
        }

    def step(self, step: int, clips: list[LatentClip], alphas: Tensor, workers: Workers) -> float:
        """One update from windows that depend on the step and the worker alone; returns this worker's loss."""
        options = self.options
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, options)
        seed = step * workers.count + workers.rank
        rng, generator = np.random.default_rng([5, seed]), torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        frames = options.window_frames[step % len(options.window_frames)]
        rows = max(1, round(options.frames_per_step / frames))
        windows = sample_windows(clips, rows, frames, options.windows, self.spread, rng)
        unconditional = min(int(rng.binomial(rows, options.unconditional_share)), rows - 1)
        loss = step_loss(self.trainee, windows, alphas, unconditional, generator, options.weight_cap)
        self.trainee.zero_grad(set_to_none=True)
        loss.backward()
        workers.average_gradients(self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.trainee, step)
        return loss.item()


@dataclass(frozen=True)
class Job:
    """One training run, in a form that worker processes can be given."""

    latents: Path
    run: Path
    options: DiffusionTraining
    minutes: float

    def __call__(self, workers: Workers) -> None:
        clips, held_out = (load_latent_clips(self.latents / name) for name in ("train", "validation"))
        train(clips, held_out, self.run, self.options, NETWORK, self.minutes, workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=DiffusionTraining.steps)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop (resumably) after this long")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, a thread each")
    arguments = parser.parse_args()
    options = DiffusionTraining(steps=arguments.steps)
    arguments.run.mkdir(parents=True, exist_ok=True)
    launch(arguments.workers, Job(arguments.latents, arguments.run, options, arguments.minutes))


if __name__ == "__main__":
    main()
