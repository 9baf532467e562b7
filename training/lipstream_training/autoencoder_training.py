"""Trains the bundled model's autoencoder: `python -m lipstream_training.autoencoder_training --clips DIR --run DIR`."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipstream_models.autoencoder import Autoencoder, AutoencoderConfig
from lipstream_models.memory_format import channels_last

from .checkpoint import MovingAverage, load_state, log_line, save_state
from .dataset import Clip, load_clips


@dataclass(frozen=True)
class AutoencoderTraining:
    steps: int = 12000
    batch: int = 8
    crop: int = 144
    learning_rate: float = 1.5e-3
    warmup: int = 100
    face_weight: float = 3.0
    mouth_weight: float = 8.0
    latent_noise: float = 0.07
    latent_penalty: float = 1e-3
    average_decay: float = 0.998
    log_every: int = 50
    save_every: int = 250


@dataclass(frozen=True)
class Batch:
    """images: (N, 3, H, W) in [-1, 1]; face, mouth: (N, 1, H, W) in {0, 1}."""

    images: Tensor
    face: Tensor
    mouth: Tensor


def sample_batch(clips: list[Clip], size: int, rng: np.random.Generator, crop: int | None = None) -> Batch:
    """``size`` random frames; with ``crop`` a square part of each, mirrored and recoloured at random, mostly of the face.

    The autoencoder has no global statistic, so what it learns on parts holds for whole frames.
    """
    images, face, mouth = [], [], []
    for index in rng.integers(len(clips), size=size):
        clip = clips[index]
        frame = int(rng.integers(len(clip.frames)))
        image = torch.from_numpy(np.array(clip.frames[frame])).permute(2, 0, 1).float() / 127.5 - 1
        masks = [
            box_mask(boxes[frame], image.shape[1:]) for boxes in (clip.truth.face_box, clip.truth.mouth_box)
        ]
        if crop is not None:
            part = crop_around(clip.truth.mouth_box[frame], image.shape[-1], crop, rng)
            image, masks = image[part], [mask[part] for mask in masks]
            if rng.random() < 0.5:
                image, masks = image.flip(-1), [m.flip(-1) for m in masks]
            image = jitter_colour(image, rng)
        images.append(image)
        face.append(masks[0])
        mouth.append(masks[1])
    return Batch(torch.stack(images), torch.stack(face), torch.stack(mouth))


def crop_around(
    box: np.ndarray, side: int, crop: int, rng: np.random.Generator
) -> tuple[slice, slice, slice]:
    """A square of ``crop`` pixels: four times in five near the mouth and eyes, else anywhere."""
    middle = np.array([box[1] + box[3], box[0] + box[2]]) / 2 + rng.uniform([-0.5, -0.3], [0.2, 0.3]) * crop
    corner = middle - crop / 2 if rng.random() < 0.8 else rng.uniform(0, side - crop, 2)
    top, left = (int(v) for v in corner.clip(0, side - crop))
    return slice(None), slice(top, top + crop), slice(left, left + crop)


def box_mask(box: np.ndarray, shape: torch.Size) -> Tensor:
    """(1, H, W) with ones inside the box of pixels left, top, right, bottom."""
    mask = torch.zeros(1, *shape)
    left, top, right, bottom = (int(v) for v in box.round())
    mask[:, max(top, 0) : bottom, max(left, 0) : right] = 1
    return mask


def jitter_colour(image: Tensor, rng: np.random.Generator) -> Tensor:
    gain = torch.tensor(rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3), dtype=torch.float32)
    shift = float(rng.uniform(-0.1, 0.1))
    return (image * gain[:, None, None] + shift).clamp(-1, 1)


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
    return 10 * math.log10(4 / max(float(mean), 1e-12))


def schedule(step: int, options: AutoencoderTraining) -> float:
    """Linear warm-up, then cosine to a twentieth."""
    rise = min(1.0, (step + 1) / options.warmup)
    return rise * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, step / options.steps))))


@torch.no_grad()
def measure(model: Trainee, weights: dict[str, Tensor], batch: Batch) -> dict[str, float]:
    output, latents = torch.func.functional_call(model, weights, (batch.images,))
    return {
        "latent_std": float(latents.std()),
        "whole_db": psnr(output, batch.images),
        "face_db": psnr(output, batch.images, batch.face),
        "mouth_db": psnr(output, batch.images, batch.mouth),
    }


class Trainee(torch.nn.Module):
    """Encode, disturb the latents a little as the diffusion model will, decode."""

    def __init__(self, autoencoder: Autoencoder, noise: float) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.noise = noise

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.autoencoder.encode_raw(images)
            noisy = latents + self.noise * torch.randn_like(latents) if self.training else latents
            return self.autoencoder.decode_raw(noisy).float(), latents.float()


def train(
    clips: list[Clip],
    held_out: list[Clip],
    run: Path,
    options: AutoencoderTraining,
    config: AutoencoderConfig,
    root: Path | None = None,
) -> None:
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    trainee = channels_last(Trainee(Autoencoder(config), options.latent_noise))
    optimizer = torch.optim.AdamW(
        trainee.parameters(), options.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3
    )
    average = MovingAverage(trainee, options.average_decay)
    first = 0
    if (state := load_state(run / "autoencoder.pt")) is not None:
        trainee.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values = state["average"]
        first = state["step"]
    check = sample_batch(held_out, 24, np.random.default_rng(1))
    start = time.monotonic()
    for step in range(first, options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * schedule(step, options)
        batch = sample_batch(clips, options.batch, np.random.default_rng([2, step]), options.crop)
        trainee.train()
        output, latents = trainee(batch.images)
        # The penalty holds the latents near unit size, against which the noise has its meaning.
        loss = reconstruction_loss(output, batch, options) + options.latent_penalty * latents.square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimizer.step()
        average.update(trainee, step)
        if (step + 1) % options.log_every == 0:
            trainee.eval()
            figures = measure(trainee, average.state_for(trainee), check) if (step + 1) % 250 == 0 else {}
            seconds = time.monotonic() - start
            log_line(run / "autoencoder.jsonl", step=step + 1, loss=loss.item(), seconds=seconds, **figures)
        if (step + 1) % options.save_every == 0 or step + 1 == options.steps:
            save_state(
                run / "autoencoder.pt",
                {
                    "step": step + 1,
                    "model": trainee.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.values,
                    "config": asdict(config),
                },
            )
            if root is not None:
                clips = load_clips(root)  # rendering may still be adding to them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=AutoencoderTraining.steps)
    arguments = parser.parse_args()
    train(
        load_clips(arguments.clips / "train"),
        load_clips(arguments.clips / "validation"),
        arguments.run,
        AutoencoderTraining(steps=arguments.steps),
        AutoencoderConfig(),
        arguments.clips / "train",
    )


if __name__ == "__main__":
    main()
