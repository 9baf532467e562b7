"""Train the bundled diffusion model on encoded clips.

python -m lipstream_training.diffusion.training --latents DIR --run DIR
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lipstream_models.config import NetworkConfig
from lipstream_models.device.memory_format import channels_last
from lipstream_models.networks import Network
from lipstream_models.scheduler import alphas_cumprod

from ..bundled_config import NETWORK
from ..data.latent_dataset import (
    LatentClips,
    LatentFiles,
    channel_weights,
    residual_scale_of,
)
from ..data.training_windows import WindowOptions, sample_windows
from ..optimisation.checkpoint import averaged_weights, load_state, require_state
from ..optimisation.loop import Objective, run_training
from ..optimisation.muon import muon_and_adamw
from ..optimisation.trainer import Trainer
from ..optimisation.workers import Workers, default_workers, launch
from .audio_pretraining import NAME as AUDIO_PROJECTION
from .loss import DiffusionLoss
from .options import DiffusionTraining
from .training_module import DiffusionTrainingModule

NAME = "diffusion"
OUTER_LAYERS = ("conv_in", "conv_out", "face_locator", "time_embedding")
"""Layers that AdamW trains instead of Muon."""


def load_network(run: Path) -> tuple[Network, float]:
    """Return the averaged weights of a run's diffusion model, and its residual scale."""
    state = require_state(run / f"{NAME}.pt", "train the diffusion model first")
    network = Network(NETWORK)
    network.load_state_dict(averaged_weights(state, "network"))
    return network, float(state["spread"])


class DiffusionTrainer(Trainer):
    """A trainer whose checkpoints hold the residual scale too.

    Args:
        config: Architecture of the networks.
        options: Options of the training.
        audio_projection: State of the pretrained audio projection, which is not trained further; None to train it.
        residual_scale: Unit of the residual latents, see `residual_scale_of`; a checkpoint's own takes its place.
        device: Device to train on.
    """

    def __init__(
        self,
        config: NetworkConfig,
        options: DiffusionTraining,
        audio_projection: dict[str, Tensor] | None,
        residual_scale: float,
        device: str = "cpu",
    ) -> None:
        self.residual_scale = residual_scale
        network = Network(config)
        if config.input_gain:
            network.denoising_unet.set_input_gain(alphas_cumprod())
        if audio_projection is not None:
            # It was trained on far more speech than the clips have, so they do not change it.
            network.audioproj.load_state_dict(audio_projection)
            network.audioproj.requires_grad_(False)
        module = channels_last(DiffusionTrainingModule(network)).to(device)
        optimizers = muon_and_adamw(module, options.learning_rate, OUTER_LAYERS, 1e-2)
        super().__init__(module, optimizers, options.rate_factor, options.average_decay)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed training needs, and the residual scale."""
        return {**super().state_dict(), "spread": self.residual_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state and its residual scale."""
        super().load_state_dict(state)
        self.residual_scale = float(state["spread"])


class DiffusionObjective:
    """Draws windows and computes the loss; a step's windows depend on the step and the worker alone.

    Args:
        trainer: The networks to train.
        clips: Clips to train on.
        validation_clips: Clips for validation.
        options: Options of the training.
        device: Device of the clips.
    """

    def __init__(
        self,
        trainer: DiffusionTrainer,
        clips: LatentClips,
        validation_clips: LatentClips,
        options: DiffusionTraining,
        device: str,
    ) -> None:
        self._trainer, self._options, self._device = trainer, options, device
        self._clips, self._validation_clips = clips, validation_clips
        self._loss = DiffusionLoss(
            alphas_cumprod().to(device),
            channel_weights(clips).to(device),
            options.timestep_shift,
            options.weight_cap,
        )

    def loss(self, step: int, seed: int) -> Tensor:
        """Return the loss of the windows of a seed, a scalar with gradients."""
        options = self._options
        rng, generator = np.random.default_rng([5, seed]), torch.Generator(self._device).manual_seed(seed)
        frames = options.window_frames[step % len(options.window_frames)]
        crop = None if step % 3 == 0 else options.crop
        rows = max(1, round((1 if crop is None else 2) * options.frames_per_step / frames))
        windows = sample_windows(
            self._clips,
            rows,
            frames,
            replace(options.windows, crop=crop),
            self._trainer.residual_scale,
            rng,
            generator,
        )
        # Rounded up or down at random: the mean of a binomial draw, with fewer shapes for a GPU to prepare for.
        unconditional = min(int(options.unconditional_share * rows + rng.random()), rows - 1)
        return self._loss(self._trainer.module, windows, unconditional, generator)

    @torch.no_grad()
    def validate(self, averaged: nn.Module) -> dict[str, float]:
        """Return the loss on fixed windows with fixed noise, of clips that are not trained on."""
        rng, generator = np.random.default_rng(3), torch.Generator(self._device).manual_seed(3)
        scale = self._trainer.residual_scale
        windows = sample_windows(self._validation_clips, 8, 12, WindowOptions(), scale, rng, generator)
        losses = [self._loss(averaged, windows, 0, generator) for _ in range(2)]
        return {"validation_loss": float(torch.stack(losses).mean())}


@dataclass(frozen=True)
class DiffusionJob:
    """A training as a picklable function of the worker."""

    latents: Path
    run: Path
    options: DiffusionTraining
    device: str

    def __call__(self, workers: Workers) -> None:
        """Train on the encoded clips below ``latents``/train."""
        clips, validation_clips = (
            LatentClips.stacked(LatentFiles.in_folder(self.latents / name), self.device)
            for name in ("train", "validation")
        )
        torch.manual_seed(0)
        # cuDNN's attention plans every shape anew, and there are many: a step took two seconds with it.
        torch.backends.cuda.enable_cudnn_sdp(False)
        audio_projection = load_state(self.run / f"{AUDIO_PROJECTION}.pt")
        scale = residual_scale_of(clips)
        trainer = DiffusionTrainer(NETWORK, self.options, audio_projection, scale, self.device)
        objective = DiffusionObjective(trainer, clips, validation_clips, self.options, self.device)
        run_training(
            trainer,
            Objective(objective.loss, objective.validate),
            self.run,
            NAME,
            self.options.loop(),
            workers,
        )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the bundled diffusion model on encoded clips.")
    default = DiffusionTraining
    parser.add_argument("--latents", type=Path, required=True, help="Folder of the encoded clips.")
    parser.add_argument("--run", type=Path, required=True, help="Folder of the checkpoint and the curve.")
    parser.add_argument("--steps", type=int, default=default.steps, help="Updates in all.")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="Minutes after which training stops, resumably."
    )
    parser.add_argument(
        "--workers", type=int, help="Processes of one thread each; one for each core by default."
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=default.frames_per_step,
        help="Frames per step and worker; 512 suit a large GPU.",
    )
    parser.add_argument(
        "--shift",
        type=float,
        default=default.timestep_shift,
        help="Shift of the timesteps towards noise; 1 draws them uniformly.",
    )
    parser.add_argument("--rate", type=float, default=default.learning_rate, help="Peak learning rate.")
    parser.add_argument(
        "--mouth-weight",
        type=float,
        default=WindowOptions.mouth_weight,
        help="Extra weight of a token of the mouth.",
    )
    parser.add_argument("--device", default="cpu", help="Device to train on; cuda uses one worker.")
    arguments = parser.parse_args()
    options = DiffusionTraining(
        steps=arguments.steps,
        frames_per_step=arguments.frames,
        learning_rate=arguments.rate,
        timestep_shift=arguments.shift,
        max_minutes=arguments.minutes,
        windows=WindowOptions(mouth_weight=arguments.mouth_weight),
    )
    arguments.run.mkdir(parents=True, exist_ok=True)
    job = DiffusionJob(arguments.latents, arguments.run, options, arguments.device)
    launch(arguments.workers or default_workers(arguments.device), job)


if __name__ == "__main__":
    main()
