"""Full sampling, step by step, with everything that a plan could reuse: what key steps and thresholds are chosen by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from .denoiser import ConditionsProtocol, DenoiserProtocol, KeyStepProtocol
from .guidance import guide
from .schedule import Schedule

C = TypeVar("C", bound=ConditionsProtocol)


@dataclass(frozen=True)
class StepRecord:
    """One step. latents (B, ...) before it; rows: what the network saw; kept: what a key step keeps; direction (B, ...): see
    `Schedule.direction`.
    """

    index: int
    time: float
    latents: Tensor
    rows: Tensor
    kept: KeyStepProtocol
    direction: Tensor


@torch.no_grad()
def trace_sampling(
    denoiser: DenoiserProtocol[C],
    schedule: Schedule,
    latents: Tensor,
    conditions: C,
    guidance_scale: float,
) -> Iterator[StepRecord]:
    """Every step as a key step, in order; arguments as in `sampling.sample`."""
    mode = "evaluate" if guidance_scale > 1 else "skip"
    for index, time in enumerate(schedule.timesteps):
        rows = torch.cat([latents, latents]) if guidance_scale > 1 else latents
        times = torch.full((rows.shape[0],), time, device=latents.device)
        kept = denoiser.key_step(rows, times, conditions)
        guided, _ = guide(kept.prediction, 1, mode, guidance_scale, None)
        direction = schedule.direction(index, latents, guided[:, 0])
        yield StepRecord(index, float(time), latents, rows, kept, direction)
        latents = schedule.step(index, latents, guided[:, 0])


def distance(before: Tensor, after: Tensor) -> float:
    """Root mean square of the difference over that of the first: how much of a tensor is new."""
    return float((after - before).float().square().mean().sqrt() / before.float().square().mean().sqrt())


def cosine(before: Tensor, after: Tensor) -> float:
    """Cosine similarity of two tensors as vectors."""
    return float(
        torch.nn.functional.cosine_similarity(before.float().flatten(), after.float().flatten(), dim=0)
    )
