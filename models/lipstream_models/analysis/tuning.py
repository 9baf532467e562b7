"""A plan for a model, by search: cases to judge plans on, how near a plan comes to full sampling, what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.presets import PAPER_STEPS, PAPER_THRESHOLD, preset
from lipstream_accel.sampling import sample
from lipstream_accel.search import RatedPlan, search

from ..networks.denoiser import Denoiser
from ..pipeline import SamplingInputs


def start(steps: int, foreground: bool) -> Plan:
    """Key steps only, with settings for the steps that will follow them. foreground: these attend inside the face only."""
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
    judged: Callable[[], None] = lambda: None,
) -> Iterator[RatedPlan]:
    """Cheaper and cheaper plans whose mean signal-to-noise ratio in the face stays above the floor, in decibels.

    cases: each with its face's token indices (L,). foreground: steps between key steps attend inside the face only. forecast: as
    in `search`. judged: called for each plan that was sampled by.
    """
    steps = len(cases[0][0].schedule.timesteps)

    def sampled(plan: Plan, case: SamplingInputs, face: Tensor) -> Tensor:
        inside = face if plan.needs_foreground else None
        return sample(denoiser, plan, case.schedule, case.noise, case.conditions, guidance_scale, inside)

    plan = start(steps, foreground)
    truth = [sampled(plan, case, face) for case, face in cases]

    def fidelity(candidate: Plan) -> float:
        ratios = [
            signal_to_noise(whole, sampled(candidate, case, face), face)
            for whole, (case, face) in zip(truth, cases, strict=True)
        ]
        judged()
        return sum(ratios) / len(ratios)

    yield from search(plan, fidelity, cost, floor, forecast=forecast)


def signal_to_noise(truth: Tensor, other: Tensor, face: Tensor) -> float:
    """Decibels, of latents (B, C, F, h, w) inside the face's tokens; at most 100."""
    signal, noise = (x.float().flatten(-2)[..., face].square().mean() for x in (truth, other - truth))
    return float(10 * torch.log10(signal / noise.clamp(min=1e-10 * signal)))
