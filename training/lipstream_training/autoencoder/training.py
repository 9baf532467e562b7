"""Train the bundled model's autoencoder.

    python -m lipstream_training.autoencoder.training --clips DIR --run DIR

The encoder is set once, to the principal components of patches of the clips, and only the decoder is trained. So
training can be continued at any time: latents that were encoded before stay valid, and so does a diffusion model
that was trained on them.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lipstream_models.autoencoders.patch_autoencoder import Autoencoder, AutoencoderConfig
from lipstream_models.device.memory_format import channels_last

from ..data.dataset import RenderedClip, load_clips
from ..data.frame_stores import FrameStore, store_frames
from ..optimisation.checkpoint import averaged_weights, require_state
from ..optimisation.loop import Objective, run_training
from ..optimisation.trainer import Trainer
from ..optimisation.workers import (
    ALONE,
    Workers,
    default_workers,
    launch,
)
from .batch import FrameBatch, sample_batch
from .options import AutoencoderTraining
from .principal_components import fit_components
from .training_module import AutoencoderTrainingModule, masked_psnr, reconstruction_loss

NAME = "autoencoder"
COMPONENT_FACE_WEIGHT = 5.0
COMPONENT_MOUTH_WEIGHT = 200.0
"""Extra weights of patches of the face and of the mouth when the principal components are computed."""
VALIDATION_FRAMES = 24


class FrameSampler:
    """Draws batches from the frames of clips; finds clips that are rendered while it is in use.

    Args:
        clips: Clips that are there.
        device: Device of the batches; a GPU holds all frames and does not look for new ones.
        folder: Folder to look for new clips in, or None.
        reload_every: Steps between two looks.
    """

    def __init__(
        self, clips: list[RenderedClip], device: str, folder: Path | None, reload_every: int
    ) -> None:
        self._device, self._folder, self._reload_every = device, folder, reload_every
        self._frames: FrameStore = store_frames(clips, device)

    def draw(self, step: int, seed: int, size: int, crop: int) -> FrameBatch:
        """Return the random batch of a seed."""
        if self._folder is not None and self._device == "cpu" and step % self._reload_every == 0:
            self._frames = store_frames(load_clips(self._folder), self._device)
        return sample_batch(self._frames, size, torch.Generator(self._device).manual_seed(seed), crop)


def load_autoencoder(run: Path) -> Autoencoder:
    """Return a run's autoencoder with averaged weights, without latent statistics (`encode_clips.normalise`)."""
    state = require_state(run / f"{NAME}.pt", "train the autoencoder first")
    autoencoder = Autoencoder(AutoencoderConfig.from_dict(state["config"]))
    autoencoder.load_state_dict(averaged_weights(state, "autoencoder"))
    return channels_last(autoencoder.eval())


def parameter_groups(module: nn.Module, options: AutoencoderTraining) -> list[dict[str, Any]]:
    """Return two optimiser groups: the linear inverse, and the rest of the decoder."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    inverse, rest = ([p for name, p in named if ("inverse" in name) is chosen] for chosen in (True, False))
    return [
        {"params": inverse, "lr": options.inverse_rate},
        {"params": rest, "lr": options.learning_rate},
    ]


class AutoencoderTrainer(Trainer):
    """A trainer whose checkpoints hold the autoencoder's configuration too."""

    def __init__(self, autoencoder: Autoencoder, options: AutoencoderTraining, device: str) -> None:
        autoencoder.encoder.requires_grad_(False)
        self.config = autoencoder.config
        module = channels_last(AutoencoderTrainingModule(autoencoder, options.latent_noise)).to(device)
        optimizer = torch.optim.AdamW(parameter_groups(module, options), betas=(0.9, 0.99), weight_decay=1e-3)
        super().__init__(module, [optimizer], options.rate_factor, options.average_decay)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed training needs, and the configuration."""
        return {**super().state_dict(), "config": asdict(self.config)}


def train(
    clips: list[RenderedClip],
    validation_clips: list[RenderedClip],
    run: Path,
    options: AutoencoderTraining,
    autoencoder: Autoencoder,
    clip_folder: Path | None = None,
    workers: Workers = ALONE,
    device: str = "cpu",
) -> None:
    """Train the decoder, from the run's checkpoint if there is one.

    Args:
        clips: Clips to train on.
        validation_clips: Clips for validation.
        run: Folder of the checkpoint and the training curve.
        options: Options of the training.
        autoencoder: The initial autoencoder, with its components set.
        clip_folder: Folder in which further clips may appear during training.
        workers: This process among those that train together.
        device: Device to train on.
    """
    trainer = AutoencoderTrainer(autoencoder, options, device)
    sampler = FrameSampler(clips, device, clip_folder, options.save_every)
    generator = torch.Generator(device).manual_seed(1)
    fixed = sample_batch(store_frames(validation_clips, device), VALIDATION_FRAMES, generator)

    def loss(step: int, seed: int) -> Tensor:
        batch = sampler.draw(step, seed, options.batch, options.crop)
        trainer.module.train()
        return reconstruction_loss(
            trainer.module(batch.images), batch, options.face_weight, options.mouth_weight
        )

    @torch.no_grad()
    def validate(averaged: nn.Module) -> dict[str, float]:
        output = averaged(fixed.images)
        return {
            "whole_db": masked_psnr(output, fixed.images),
            "face_db": masked_psnr(output, fixed.images, fixed.face),
            "mouth_db": masked_psnr(output, fixed.images, fixed.mouth),
        }

    run_training(trainer, Objective(loss, validate), run, NAME, options.loop(), workers)


@dataclass(frozen=True)
class AutoencoderJob:
    """A training as a picklable function of the worker."""

    clips: Path
    run: Path
    options: AutoencoderTraining
    device: str = "cpu"

    def __call__(self, workers: Workers) -> None:
        """Train on the clips below ``clips``/train."""
        clips, validation_clips = (load_clips(self.clips / name) for name in ("train", "validation"))
        torch.manual_seed(0)
        autoencoder = Autoencoder(AutoencoderConfig())
        fit_components(autoencoder, clips, COMPONENT_FACE_WEIGHT, COMPONENT_MOUTH_WEIGHT)
        train(
            clips,
            validation_clips,
            self.run,
            self.options,
            autoencoder,
            self.clips / "train",
            workers,
            self.device,
        )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the bundled model's autoencoder on rendered clips.")
    default = AutoencoderTraining
    parser.add_argument("--clips", type=Path, required=True, help="Folder of the rendered clips.")
    parser.add_argument("--run", type=Path, required=True, help="Folder of the checkpoint and the curve.")
    parser.add_argument("--steps", type=int, default=default.steps, help="Updates in all.")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="Minutes after which training stops, resumably."
    )
    parser.add_argument(
        "--workers", type=int, help="Processes of one thread each; one for each core by default."
    )
    parser.add_argument("--batch", type=int, default=default.batch, help="Crops per step and worker.")
    parser.add_argument(
        "--mouth-weight", type=float, default=default.mouth_weight, help="Extra weight of a mouth's pixel."
    )
    parser.add_argument(
        "--device", default="cpu", help="Device to train on; cuda holds all frames in the GPU's memory."
    )
    arguments = parser.parse_args()
    arguments.run.mkdir(parents=True, exist_ok=True)
    options = AutoencoderTraining(
        steps=arguments.steps,
        batch=arguments.batch,
        mouth_weight=arguments.mouth_weight,
        max_minutes=arguments.minutes,
    )
    job = AutoencoderJob(arguments.clips, arguments.run, options, arguments.device)
    launch(arguments.workers or default_workers(arguments.device), job)


if __name__ == "__main__":
    main()
