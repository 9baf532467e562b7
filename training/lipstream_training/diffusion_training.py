"""Trains the bundled diffusion model on encoded clips.

python -m lipstream_training.diffusion_training --latents DIR --run DIR
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipstream_models.config import NetworkConfig
from lipstream_models.memory_format import channels_last
from lipstream_models.networks import Network
from lipstream_models.scheduler import alphas_cumprod

from .bundled_config import NETWORK
from .checkpoint import MovingAverage, load_state, log_line, save_state
from .latent_dataset import LatentClip, WindowOptions, Windows, load_latent_clips, sample_windows


@dataclass(frozen=True)
class DiffusionTraining:
    """frames_per_step: how many frames a step sees in all; windows of each length in ``window_frames`` take turns."""

    steps: int = 20000
    frames_per_step: int = 32
    window_frames: tuple[int, ...] = (16, 8, 16, 4, 12)
    learning_rate: float = 6e-4
    warmup: int = 200
    unconditional_share: float = 0.1
    average_decay: float = 0.998
    log_every: int = 20
    check_every: int = 200
    save_every: int = 100
    windows: WindowOptions = field(default_factory=WindowOptions)


class Trainee(torch.nn.Module):
    """The five networks with v-prediction as their forward, so that wrappers and moving averages see one module."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Windows, noisy: Tensor, timestep: Tensor, unconditional: int) -> Tensor:
        """Predicts v (B, C, F, h, w). The first ``unconditional`` rows hear nothing and see no portrait."""
        network = self.network
        heard = torch.ones(len(noisy), device=noisy.device)
        heard[:unconditional] = 0
        identity = network.imageproj(windows.embedding * heard[:, None])
        audio = network.audioproj(windows.audio) * heard[:, None, None, None]
        face = network.face_locator(windows.face_region) * heard[:, None, None, None]
        source = network.reference_unet(windows.reference[unconditional:], identity[unconditional:])
        count = windows.motion.shape[1]
        motion = network.reference_unet(windows.motion.flatten(0, 1), identity.repeat_interleave(count, 0))
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


def diffuse(clean: Tensor, noise: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and the v that belongs to them; alpha (B,) is the cumulative product at each row's timestep."""
    signal, sigma = (x.sqrt()[:, None, None, None, None] for x in (alpha, 1 - alpha))
    return signal * clean + sigma * noise, signal * noise - sigma * clean


def step_loss(
    trainee: Trainee, windows: Windows, alphas: Tensor, unconditional: int, generator: torch.Generator
) -> Tensor:
    rows = len(windows.latents)
    # One timestep from each of B equal slices: every batch sees the whole range, which steadies the loss.
    slices = (torch.arange(rows) + torch.rand(rows, generator=generator)) / rows
    timestep = (
        (slices * len(alphas)).long().clamp(max=len(alphas) - 1)[torch.randperm(rows, generator=generator)]
    )
    noise = torch.randn(windows.latents.shape, generator=generator)
    noisy, target = diffuse(windows.latents, noise, alphas[timestep])
    with torch.autocast("cpu", torch.bfloat16):
        prediction = trainee(windows, noisy, timestep, unconditional)
    weight = windows.weight / windows.weight.mean()
    loss: Tensor = ((prediction.float() - target).square() * weight).mean()
    return loss


def learning_rate(step: int, options: DiffusionTraining) -> float:
    """Linear warm-up, flat, linear decay over the last quarter."""
    rise = min(1.0, (step + 1) / options.warmup)
    fall = min(1.0, max(0.05, (options.steps - step) / (0.25 * options.steps)))
    return options.learning_rate * min(rise, fall)


@torch.no_grad()
def check(trainee: Trainee, weights: dict[str, Tensor], clips: list[LatentClip], alphas: Tensor) -> float:
    """Loss of the averaged weights on fixed windows and noise of clips that are not trained on."""

    def forward(*arguments: object) -> Tensor:
        result: Tensor = torch.func.functional_call(trainee, weights, arguments)
        return result

    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    windows = sample_windows(clips, 8, 12, WindowOptions(), rng)
    losses = [step_loss(forward, windows, alphas, 0, generator) for _ in range(2)]  # type: ignore[arg-type]
    return float(torch.stack(losses).mean())


def train(
    clips: list[LatentClip],
    held_out: list[LatentClip],
    run: Path,
    options: DiffusionTraining,
    config: NetworkConfig,
    audio_projection: dict[str, Tensor] | None,
    minutes: float,
) -> None:
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = Network(config)
    if audio_projection is not None:
        # It has heard far more speech than the clips hold, so they do not teach it again.
        network.audioproj.load_state_dict(audio_projection)
        network.audioproj.requires_grad_(False)
    trainee = channels_last(Trainee(network))
    trained = [p for name, p in trainee.named_parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, options.learning_rate, betas=(0.9, 0.99), weight_decay=1e-2)
    average = MovingAverage(trainee, options.average_decay)
    alphas = alphas_cumprod()
    first = 0
    if (state := load_state(run / "diffusion.pt")) is not None:
        trainee.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values = state["average"]
        first = state["step"]
    start = time.monotonic()
    total = 0.0
    for step in range(first, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options)
        rng, generator = np.random.default_rng([5, step]), torch.Generator().manual_seed(step)
        torch.manual_seed(step)
        frames = options.window_frames[step % len(options.window_frames)]
        rows = max(1, round(options.frames_per_step / frames))
        windows = sample_windows(clips, rows, frames, options.windows, rng)
        unconditional = int(rng.binomial(rows, options.unconditional_share))
        unconditional = min(unconditional, rows - 1)
        loss = step_loss(trainee, windows, alphas, unconditional, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update(trainee, step)
        total += loss.item()
        seconds = time.monotonic() - start
        done = step + 1 == options.steps or seconds > minutes * 60
        if not math.isfinite(total):
            raise FloatingPointError(
                f"the loss is no longer finite at step {step}; resume from the last checkpoint"
            )
        if (step + 1) % options.log_every == 0:
            figures = {"loss": total / options.log_every, "seconds": seconds}
            total = 0.0
            if (step + 1) % options.check_every == 0:
                figures["held_out"] = check(trainee, average.state_for(trainee), held_out, alphas)
            log_line(run / "diffusion.jsonl", step=step + 1, **figures)
        if (step + 1) % options.save_every == 0 or done:
            save_state(
                run / "diffusion.pt",
                {
                    "step": step + 1,
                    "model": trainee.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.values,
                },
            )
        if done:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=DiffusionTraining.steps)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop (resumably) after this long")
    arguments = parser.parse_args()
    projection = load_state(arguments.run / "audio_projection.pt")
    train(
        load_latent_clips(arguments.latents / "train"),
        load_latent_clips(arguments.latents / "validation"),
        arguments.run,
        DiffusionTraining(steps=arguments.steps),
        NETWORK,
        projection,
        arguments.minutes,
    )


if __name__ == "__main__":
    main()
