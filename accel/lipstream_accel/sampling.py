"""The sampling loop: a pure function of a denoiser, a plan, latents and conditions."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor

from .plan import Plan
from .schedule import DDIMSchedule

Conditions = TypeVar("Conditions", contravariant=True)


class Denoiser(Protocol[Conditions]):
    """A network that predicts v. Rows of ``latents`` (B, C, F, h, w) are clips, or their guidance halves."""

    def whole(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor: ...


@torch.no_grad()
def sample(
    denoiser: Denoiser[Conditions],
    plan: Plan,
    schedule: DDIMSchedule,
    latents: Tensor,
    conditions: Conditions,
    guidance_scale: float,
) -> Tensor:
    """Denoises ``latents`` (B, C, F, h, w) from pure noise to clean latents of the same shape.

    With ``guidance_scale`` above 1 the conditions describe 2 B rows, unconditional rows first, and the prediction is
    u + s (c - u); otherwise they describe B rows.
    """
    if len(schedule.timesteps) != plan.steps:
        raise ValueError(f"plan {plan.name!r} has {plan.steps} steps, its schedule {len(schedule.timesteps)}")
    guided = guidance_scale > 1
    for index, timestep in enumerate(schedule.timesteps):
        rows = torch.cat([latents, latents]) if guided else latents
        time = torch.full((rows.shape[0],), timestep, device=rows.device)
        prediction = denoiser.whole(rows, time, conditions)
        if guided:
            unconditional, conditional = prediction.chunk(2)
            prediction = unconditional + guidance_scale * (conditional - unconditional)
        latents = schedule.step(index, latents, prediction)
    return latents
