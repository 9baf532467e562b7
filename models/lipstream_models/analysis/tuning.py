"""Search for the plan of a model: fidelity to full sampling against cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.presets import PAPER_STEPS, PAPER_THRESHOLD, preset
from lipstream_accel.sampling import sample
from lipstream_accel.search import RatedPlan, search_plans

from ..networks.denoiser import Denoiser
from ..pipeline import SamplingInputs


def initial_plan(steps: int, foreground: bool) -> Plan:
    """Return a plan of key steps only, with settings for the steps that will follow them.

    Args:
        steps: Steps of the schedule.
        foreground: Whether steps between key steps attend inside the face only.
    """
    plan = preset("exact", steps)
    segments = tuple(replace(segment, foreground=foreground) for segment in plan.segments)
    return replace(
        plan, name="tuned", segments=segments, estimate_from=steps * PAPER_THRESHOLD // PAPER_STEPS
    )


def tune(
    denoiser: Denoiser,
    cases: Sequence[tuple[SamplingInputs, Tensor]],
    guidance_scale: float,
    cost: Callable[[Plan], float],
    floor: float,
    *,
    foreground: bool = True,
    forecast: bool = False,
    on_rated: Callable[[], None] = lambda: None,
) -> Iterator[RatedPlan]:
    """Yield ever cheaper plans whose mean signal-to-noise ratio in the face stays above a floor.

    Args:
        denoiser: The network.
        cases: Inputs to rate plans on, each with the token indices (L,) of its face.
        guidance_scale: Weight of classifier-free guidance.
        cost: Cost of a plan.
        floor: Lowest mean signal-to-noise ratio in decibels.
        foreground: Whether steps between key steps attend inside the face only.
        forecast: Whether forecasts of f_U31 are tried too; see `search_plans`.
        on_rated: Called after each rated plan.
    """
    steps = len(cases[0][0].schedule.timesteps)

    def sample_by(plan: Plan, case: SamplingInputs, face: Tensor) -> Tensor:
        inside = face if plan.needs_foreground else None
        return sample(denoiser, plan, case.schedule, case.noise, case.conditions, guidance_scale, inside)

    plan = initial_plan(steps, foreground)
    truth = [sample_by(plan, case, face) for case, face in cases]

    def fidelity(candidate: Plan) -> float:
        ratios = [
            snr_db(full, sample_by(candidate, case, face), face)
            for full, (case, face) in zip(truth, cases, strict=True)
        ]
        on_rated()
        return sum(ratios) / len(ratios)

    yield from search_plans(plan, fidelity, cost, floor, forecast=forecast)


def snr_db(truth: Tensor, other: Tensor, face: Tensor) -> float:
    """Return the signal-to-noise ratio in decibels, at most 100, inside the face.

    Args:
        truth: (B, C, F, h, w) latents.
        other: (B, C, F, h, w) latents.
        face: (L,) indices of the face tokens.
    """
    signal, noise = (x.float().flatten(-2)[..., face].square().mean() for x in (truth, other - truth))
    return float(10 * torch.log10(signal / noise.clamp(min=1e-10 * signal)))
