"""Trains the bundled diffusion model on encoded clips.

python -m lipstream_training.diffusion.training --latents DIR --run DIR
"""

from __future__ import annotations

import argparse
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipstream_models.config import NetworkConfig
from lipstream_models.device.memory_format import channels_last
from lipstream_models.networks import Network
from lipstream_models.scheduler import alphas_cumprod

from ..bundled_config import NETWORK
from ..data.latent_dataset import (
    LatentClips,
    LatentFiles,
    channel_weights_of,
    spread_of,
)
from ..data.training_windows import WindowOptions, sample_windows
from ..optimisation.checkpoint import (
    DIFFUSION,
    MovingAverage,
    load_state,
    log_line,
    save_state,
)
from ..optimisation.muon import muon_and_adamw
from ..optimisation.workers import Workers, launch
from .loss import DiffusionTraining, step_loss
from .training_module import Trainee

OUTER_LAYERS = ("conv_in", "conv_out", "face_locator", "time_embedding")


def learning_rate(step: int, options: DiffusionTraining) -> float:
    """Linear warm-up, flat, linear decay over the last quarter."""
    rise = min(1.0, (step + 1) / options.warmup)
    fall = min(1.0, max(0.05, (options.steps - step) / (0.25 * options.steps)))
    return options.learning_rate * min(rise, fall)


@torch.no_grad()
def check(training: Training, clips: LatentClips, alphas: Tensor) -> float:
    """Loss of the averaged weights on fixed windows and noise of clips that are not trained on."""
    weights = training.average.state_for(training.trainee)

    def forward(*arguments: object) -> Tensor:
        result: Tensor = torch.func.functional_call(training.trainee, weights, arguments)
        return result

    rng, generator = np.random.default_rng(3), torch.Generator(training.device).manual_seed(3)
    windows = sample_windows(clips, 8, 12, WindowOptions(), training.spread, rng, generator)
    options, channels = training.options, training.channel_weights
    losses = [step_loss(forward, windows, alphas, 0, generator, options, channels) for _ in range(2)]
    return float(torch.stack(losses).mean())


def train(
    clips: LatentClips,
    held_out: LatentClips,
    run: Path,
    options: DiffusionTraining,
    config: NetworkConfig,
    minutes: float,
    workers: Workers,
    device: str = "cpu",
) -> None:
    """Every worker takes its own windows of a step; all make the same update, and the first one keeps the books."""
    torch.manual_seed(0)
    training = Training(
        config,
        options,
        load_state(run / "audio_projection.pt"),
        spread_of(clips),
        channel_weights_of(clips),
        device,
    )
    first = training.resume(load_state(run / f"{DIFFUSION}.pt"))
    alphas = alphas_cumprod().to(device)
    # cuDNN's attention plans every shape anew, and shapes are many here: a step took two seconds with it.
    torch.backends.cuda.enable_cudnn_sdp(False)
    start, total = time.monotonic(), torch.zeros((), device=device)
    for step in range(first, options.steps):
        total += training.step(step, clips, alphas, workers)
        seconds = time.monotonic() - start
        done = workers.agree(step + 1 == options.steps or seconds > minutes * 60)
        logs, saves = (step + 1) % options.log_every == 0, (step + 1) % options.save_every == 0 or done
        # Looked at only now and then: a GPU would have to finish each step for it.
        if (logs or saves) and not torch.isfinite(total):
            raise FloatingPointError(
                f"the loss is no longer finite before step {step + 1}; resume from the last checkpoint"
            )
        if workers.first and logs:
            counted = min(options.log_every, step + 1 - first)  # fewer after a training went on in between
            figures = {"loss": total.item() / counted, "seconds": seconds}
            if (step + 1) % options.check_every == 0:
                figures["held_out"] = check(training, held_out, alphas)
            log_line(run / f"{DIFFUSION}.jsonl", step=step + 1, **figures)
        if logs:
            total.zero_()
        if workers.first and saves:
            save_state(run / f"{DIFFUSION}.pt", training.state(step + 1))
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
        channel_weights: Tensor,
        device: str = "cpu",
    ) -> None:
        self.spread = spread
        self.channel_weights = channel_weights.to(device)
        self.device = device
        network = Network(config)
        if config.input_gain:
            network.denoising_unet.set_input_gain(alphas_cumprod())
        if audio_projection is not None:
            # It has heard far more speech than the clips hold, so they do not teach it again.
            network.audioproj.load_state_dict(audio_projection)
            network.audioproj.requires_grad_(False)
        self.options = options
        self.trainee = channels_last(Trainee(network)).to(device)
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
        self.average.values = {name: value.to(self.device) for name, value in state["average"].items()}
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

    def step(self, step: int, clips: LatentClips, alphas: Tensor, workers: Workers) -> Tensor:
        """One update from windows that depend on the step and the worker alone; returns this worker's loss."""
        options = self.options
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, options)
        seed = step * workers.count + workers.rank
        rng, generator = np.random.default_rng([5, seed]), torch.Generator(self.device).manual_seed(seed)
        frames = options.window_frames[step % len(options.window_frames)]
        crop = None if step % 3 == 0 else options.crop
        rows = max(1, round((1 if crop is None else 2) * options.frames_per_step / frames))
        window_options = replace(options.windows, crop=crop)
        windows = sample_windows(clips, rows, frames, window_options, self.spread, rng, generator)
        # Rounded up or down at random: what a binomial draw gives on average, in fewer shapes that a GPU has to prepare for.
        unconditional = min(int(options.unconditional_share * rows + rng.random()), rows - 1)
        weights = self.channel_weights
        loss = step_loss(self.trainee, windows, alphas, unconditional, generator, options, weights)
        self.trainee.zero_grad(set_to_none=True)
        loss.backward()
        workers.average_gradients(self.trained)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.trainee, step)
        return loss.detach()


@dataclass(frozen=True)
class Job:
    """One training run, in a form that worker processes can be given."""

    latents: Path
    run: Path
    options: DiffusionTraining
    minutes: float
    device: str

    def __call__(self, workers: Workers) -> None:
        clips, held_out = (
            LatentClips.stacked(LatentFiles.of(self.latents / name), self.device)
            for name in ("train", "validation")
        )
        train(clips, held_out, self.run, self.options, NETWORK, self.minutes, workers, self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=DiffusionTraining.steps)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop (resumably) after this long")
    parser.add_argument("--workers", type=int, help="processes, a thread each; all cores' worth without it")
    parser.add_argument(
        "--frames",
        type=int,
        default=DiffusionTraining.frames_per_step,
        help="a step and worker; a GPU takes 256",
    )
    parser.add_argument("--shift", type=float, default=DiffusionTraining.timestep_shift, help="of timesteps")
    parser.add_argument("--rate", type=float, default=DiffusionTraining.learning_rate, help="learning rate")
    parser.add_argument("--mouth-weight", type=float, default=WindowOptions.mouth_weight)
    parser.add_argument("--device", default="cpu", help="cuda: one worker on one GPU")
    arguments = parser.parse_args()
    options = DiffusionTraining(
        steps=arguments.steps,
        frames_per_step=arguments.frames,
        learning_rate=arguments.rate,
        timestep_shift=arguments.shift,
        windows=WindowOptions(mouth_weight=arguments.mouth_weight),
    )
    arguments.run.mkdir(parents=True, exist_ok=True)
    cores = (os.cpu_count() or 1) if arguments.device == "cpu" else 1
    job = Job(
        arguments.latents,
        arguments.run,
        options,
        arguments.minutes,
        arguments.device,
    )
    launch(arguments.workers or cores, job)


if __name__ == "__main__":
    main()
