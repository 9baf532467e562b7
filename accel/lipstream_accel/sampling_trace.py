"""Full sampling that returns every reusable feature of every step, to choose key steps and thresholds from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from .denoiser import ConditionsProtocol, DenoiserProtocol, KeyStepProtocol
from .guidance import apply_guidance
from .schedule import Schedule

C = TypeVar("C", bound=ConditionsProtocol)


@dataclass(frozen=True)
class StepRecord:
    """One sampling step.

    Attributes:
        index: step index.
        time: timestep.
        latents: latents (B, ...) before the step.
        rows: input of the network (rows, ...), with guidance both branches.
        key_step: the evaluation with its reusable features.
        direction: direction (B, ...), see `Schedule.direction`.
    """

    index: int
    time: float
    latents: Tensor
    rows: Tensor
    key_step: KeyStepProtocol
    direction: Tensor


@torch.no_grad()
def trace_sampling(
    denoiser: DenoiserProtocol[C],
    schedule: Schedule,
    latents: Tensor,
    conditions: C,
    guidance_scale: float,
) -> Iterator[StepRecord]:
    """Yield every sampling step, each evaluated as a key step. Arguments and shapes as in `sampling.sample`."""
    mode = "evaluate" if guidance_scale > 1 else "skip"
    for index, time in enumerate(schedule.timesteps):
        rows = torch.cat([latents, latents]) if guidance_scale > 1 else latents
        times = torch.full((rows.shape[0],), time, device=latents.device)
        key_step = denoiser.key_step(rows, times, conditions)
        guided, _ = apply_guidance(key_step.prediction, 1, mode, guidance_scale, None)
        direction = schedule.direction(index, latents, guided[:, 0])
        yield StepRecord(index, float(time), latents, rows, key_step, direction)
        latents = schedule.step(index, latents, guided[:, 0])


def relative_distance(before: Tensor, after: Tensor) -> float:
    """Return the RMS of after - before, relative to the RMS of before. Both tensors have the same shape."""
    return float((after - before).float().square().mean().sqrt() / before.float().square().mean().sqrt())


def cosine_similarity(before: Tensor, after: Tensor) -> float:
    """Return the cosine similarity of two tensors of the same shape, flattened to vectors."""
    return float(
        torch.nn.functional.cosine_similarity(before.float().flatten(), after.float().flatten(), dim=0)
    )
