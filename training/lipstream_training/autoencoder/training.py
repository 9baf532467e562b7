"""Trains the bundled model's autoencoder: `python -m lipstream_training.autoencoder.training --clips DIR --run DIR`.

The encoder is set once, to the principal components of patches of the clips; what trains is the decoder. So training can go on
at any time, and latents that were made before, and a diffusion model that was trained on them, stay valid.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lipstream_models.autoencoders.patch_autoencoder import Autoencoder, AutoencoderConfig
from lipstream_models.device.memory_format import channels_last
from lipstream_models.device.precision import autocast

from ..data.dataset import Clip, load_clips
from ..data.frame_stores import DeviceFrames, FrameStore, MappedFrames
from ..optimisation.checkpoint import (
    MovingAverage,
    load_state,
    log_line,
    save_state,
)
from ..optimisation.workers import ALONE, Workers, launch
from .batch import Batch, sample_batch
from .principal_components import set_components

# How much more a patch of the face, or of the mouth, counts when the components are chosen.
COMPONENT_FACE_WEIGHT = 5.0
COMPONENT_MOUTH_WEIGHT = 200.0


@dataclass(frozen=True)
class AutoencoderTraining:
    steps: int = 12000
    batch: int = 6
    crop: int = 128
    learning_rate: float = 1.5e-3
    inverse_rate: float = 1e-4
    warmup: int = 100
    face_weight: float = 3.0
    mouth_weight: float = 8.0
    latent_noise: float = 0.02
    average_decay: float = 0.998
    log_every: int = 50
    save_every: int = 250


def reconstruction_loss(output: Tensor, batch: Batch, options: AutoencoderTraining) -> Tensor:
    """Weighted absolute error of pixels and of their differences: the whole-frame error alone smears lips and teeth."""
    weight = 1 + options.face_weight * batch.face + options.mouth_weight * batch.mouth
    weight = weight / weight.mean()
    error = output - batch.images
    across, down = error.diff(dim=-1), error.diff(dim=-2)
    edges = (across.abs() * weight[..., 1:]).mean() + (down.abs() * weight[..., 1:, :]).mean()
    return (error.abs() * weight).mean() + 4 * (error.square() * weight).mean() + edges


def psnr(output: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Decibels for values in [-1, 1], inside the mask."""
    error = (output.clamp(-1, 1) - target).square()
    mean = error.mean() if mask is None else (error * mask).sum() / (mask.sum() * error.shape[1])
    return 10 * math.log10(4 / max(mean.item(), 1e-12))


def schedule(step: int, options: AutoencoderTraining) -> float:
    """Linear warm-up, then cosine to a twentieth."""
    rise = min(1.0, (step + 1) / options.warmup)
    return rise * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, step / options.steps))))


@torch.no_grad()
def measure(model: Trainee, weights: dict[str, Tensor], batch: Batch) -> dict[str, float]:
    output = torch.func.functional_call(model, weights, (batch.images,))
    return {
        "whole_db": psnr(output, batch.images),
        "face_db": psnr(output, batch.images, batch.face),
        "mouth_db": psnr(output, batch.images, batch.mouth),
    }


def trained_autoencoder(run: Path) -> Autoencoder:
    """The averaged weights of a training, without latent statistics (see `encode_clips.normalise`)."""
    state = load_state(run / "autoencoder.pt")
    if state is None:
        raise FileNotFoundError(f"{run / 'autoencoder.pt'}: train the autoencoder first")
    values = {**state["model"], **state["average"]}
    autoencoder = Autoencoder(AutoencoderConfig.from_dict(state["config"]))
    prefix = "autoencoder."
    autoencoder.load_state_dict({name.removeprefix(prefix): value for name, value in values.items()})
    return channels_last(autoencoder.eval())


def parameter_groups(module: torch.nn.Module, options: AutoencoderTraining) -> list[dict[str, Any]]:
    """The linear inverse, which starts where a linear map is best, learns slowly. "rate": before the schedule."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    slow, fast = ([p for name, p in named if ("inverse" in name) is wanted] for wanted in (True, False))
    rates = ((slow, options.inverse_rate), (fast, options.learning_rate))
    return [{"params": params, "lr": rate, "rate": rate} for params, rate in rates]


class Trainee(torch.nn.Module):
    """Encode, disturb the latents by up to ``noise`` as the diffusion model will, decode."""

    def __init__(self, autoencoder: Autoencoder, noise: float) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.noise = noise

    def forward(self, images: Tensor) -> Tensor:
        with autocast(images.device):
            latents = self.autoencoder.encode_raw(images)
            if self.training:
                amounts = self.noise * torch.rand(len(latents), 1, 1, 1, device=latents.device)
                latents = latents + amounts * torch.randn_like(latents)
            return self.autoencoder.decode_raw(latents).float()


def train(
    clips: list[Clip],
    held_out: list[Clip],
    run: Path,
    options: AutoencoderTraining,
    autoencoder: Autoencoder,
    root: Path | None = None,
    workers: Workers = ALONE,
    device: str = "cpu",
    minutes: float = math.inf,
) -> None:
    """Goes on where ``run`` stopped; ``autoencoder``, with its components set, is what a new training starts from.

    Every worker takes its own frames of a step; all make the same update, and the first one keeps the books.
    """
    torch.manual_seed(workers.rank)
    autoencoder.encoder.requires_grad_(False)
    trainee = channels_last(Trainee(autoencoder, options.latent_noise)).to(device)
    trained = [p for p in trainee.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameter_groups(trainee, options), betas=(0.9, 0.99), weight_decay=1e-3)
    average = MovingAverage(trainee, options.average_decay)
    first = 0
    if (state := load_state(run / "autoencoder.pt")) is not None:
        trainee.load_state_dict(state["model"])
        if "optimizer" in state:
            optimizer.load_state_dict(state["optimizer"])
        average.values = {name: value.to(device) for name, value in state["average"].items()}
        first = state["step"]
    check = sample_batch(stored(held_out, device), 24, torch.Generator(device).manual_seed(1))
    frames = stored(clips, device)
    start = time.monotonic()
    for step in range(first, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * schedule(step, options)
        generator = torch.Generator(device).manual_seed(step * workers.count + workers.rank)
        batch = sample_batch(frames, options.batch, generator, options.crop)
        trainee.train()
        output = trainee(batch.images)
        loss = reconstruction_loss(output, batch, options)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        workers.average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update(trainee, step)
        seconds = time.monotonic() - start
        done = workers.agree(step + 1 == options.steps or seconds > minutes * 60)
        if workers.first and (step + 1) % options.log_every == 0:
            trainee.eval()
            figures = measure(trainee, average.state_for(trainee), check) if (step + 1) % 250 == 0 else {}
            log_line(run / "autoencoder.jsonl", step=step + 1, loss=loss.item(), seconds=seconds, **figures)
        if workers.first and ((step + 1) % options.save_every == 0 or done):
            save_state(
                run / "autoencoder.pt",
                {
                    "step": step + 1,
                    "model": trainee.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.values,
                    "config": asdict(autoencoder.config),
                },
            )
        if done:
            return
        if device == "cpu" and root is not None and (step + 1) % options.save_every == 0:
            frames = stored(load_clips(root), device)  # rendering may still be adding to them


def stored(clips: list[Clip], device: str) -> FrameStore:
    """A CPU's memory need not hold them all; a GPU's does."""
    return MappedFrames.of(clips) if device == "cpu" else DeviceFrames.of(clips, device)


@dataclass(frozen=True)
class Job:
    """One training, in a form that worker processes can be given."""

    clips: Path
    run: Path
    options: AutoencoderTraining
    device: str = "cpu"
    minutes: float = math.inf

    def __call__(self, workers: Workers) -> None:
        train(
            clips := load_clips(self.clips / "train"),
            load_clips(self.clips / "validation"),
            self.run,
            self.options,
            self.beginning(clips),
            self.clips / "train",
            workers,
            self.device,
            self.minutes,
        )

    def beginning(self, clips: list[Clip]) -> Autoencoder:
        torch.manual_seed(0)
        autoencoder = Autoencoder(AutoencoderConfig())
        set_components(autoencoder, clips, COMPONENT_FACE_WEIGHT, COMPONENT_MOUTH_WEIGHT)
        return autoencoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=AutoencoderTraining.steps)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop (resumably) after this long")
    parser.add_argument("--workers", type=int, help="processes, a thread each; all cores' worth without it")
    parser.add_argument(
        "--batch", type=int, default=AutoencoderTraining.batch, help="parts a step and worker"
    )
    parser.add_argument(
        "--mouth-weight",
        type=float,
        default=AutoencoderTraining.mouth_weight,
        help="how much more a pixel of it counts",
    )
    parser.add_argument("--device", default="cpu", help="cuda: one worker on one GPU, which holds all frames")
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    options = AutoencoderTraining(
        steps=arguments.steps, batch=arguments.batch, mouth_weight=arguments.mouth_weight
    )
    job = Job(arguments.clips, arguments.run, options, arguments.device, arguments.minutes)
    cores = (os.cpu_count() or 1) if arguments.device == "cpu" else 1
    launch(arguments.workers or cores, job)


if __name__ == "__main__":
    main()
