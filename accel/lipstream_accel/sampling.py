"""The sampling loop: a pure function of a denoiser, a plan, latents and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from .denoiser import ConditionsProtocol, DenoiserProtocol, KeyStepProtocol
from .feature_history import FeatureHistory
from .guidance import apply_guidance
from .plan import Plan, Segment
from .rules import check_run
from .schedule import Schedule

C = TypeVar("C", bound=ConditionsProtocol)


@torch.no_grad()
def sample(
    denoiser: DenoiserProtocol[C],
    plan: Plan,
    schedule: Schedule,
    latents: Tensor,
    conditions: C,
    guidance_scale: float,
    foreground: Tensor | None = None,
) -> Tensor:
    """Denoise latents as the plan says.

    Args:
        denoiser: network with the cut points that the plan uses.
        plan: key steps and reuse between them.
        schedule: timesteps and step arithmetic, with as many steps as the plan.
        latents: noise (B, C, F, h, w).
        conditions: with guidance 2 B rows, unconditional rows first; else B rows.
        guidance_scale: s of u + s (c - u). Guidance is on if it is above 1.
        foreground: token indices (L,) of the face at the last layer, for plans that attend inside the face.

    Returns:
        Clean latents (B, C, F, h, w).

    Raises:
        PlanError: the plan does not fit the other arguments.
    """
    check_run(plan, denoiser, len(schedule.timesteps), latents.shape[0], foreground)
    run = _Run.create(denoiser, plan, schedule, latents, conditions, guidance_scale, foreground)
    cache: _Cache = _Cache()
    for segment in plan.segments:
        latents, cache = _key_step(run, segment, latents, cache)
        if segment.following:
            latents, cache = _following_steps(run, segment, latents, cache)
    return latents


@dataclass(frozen=True)
class _Run(Generic[C]):
    """Arguments that are constant over all steps. ``conditional``: conditions of the conditional rows only."""

    denoiser: DenoiserProtocol[C]
    plan: Plan
    schedule: Schedule
    times: Tensor
    conditions: C
    conditional: C
    scale: float
    foreground: Tensor | None

    @classmethod
    def create(
        cls,
        denoiser: DenoiserProtocol[C],
        plan: Plan,
        schedule: Schedule,
        latents: Tensor,
        conditions: C,
        scale: float,
        foreground: Tensor | None,
    ) -> _Run[C]:
        times = torch.tensor(schedule.timesteps, device=latents.device)
        if plan.without_reference:
            conditions = conditions.without_reference(plan.without_reference)
        modes = {mode for s in plan.segments for mode in (s.guidance, s.following_guidance)}
        needs_conditional = scale > 1 and modes != {"evaluate"}
        conditional = conditions.conditional() if needs_conditional else conditions
        return cls(denoiser, plan, schedule, times, conditions, conditional, scale, foreground)

    def mode(self, planned: str) -> str:
        """Return the guidance mode: "skip" whatever the plan says if guidance is off."""
        return planned if self.scale > 1 else "skip"

    def rows(self, mode: str, latents: Tensor) -> tuple[Tensor, C]:
        """Return latents (rows, ...) and conditions of the branches that this mode evaluates."""
        if mode == "evaluate":
            return torch.cat([latents, latents]), self.conditions
        return latents, self.conditional


@dataclass(frozen=True)
class _Cache:
    """Results of earlier steps that later steps reuse.

    Attributes:
        key_step: features of the last key step.
        direction: the key step's direction (B, ...), see `Schedule.direction`.
        guidance_delta: difference of the guidance branches (B, ...).
        histories: f_u31 at the last key steps, of the unconditional and the conditional branch.
    """

    key_step: KeyStepProtocol | None = None
    direction: Tensor | None = None
    guidance_delta: Tensor | None = None
    histories: tuple[FeatureHistory, FeatureHistory] = (FeatureHistory(), FeatureHistory())


def _key_step(run: _Run[C], segment: Segment, latents: Tensor, cache: _Cache) -> tuple[Tensor, _Cache]:
    """Evaluate the full network at the segment's key step; latents (B, ...)."""
    index, mode = segment.key, run.mode(segment.guidance)
    rows, conditions = run.rows(mode, latents)
    times = run.times[index].repeat(rows.shape[0])
    key_step = run.denoiser.key_step(rows, times, conditions) if run.plan.reuses else None
    prediction = run.denoiser.whole(rows, times, conditions) if key_step is None else key_step.prediction
    guided, delta = apply_guidance(prediction, 1, mode, run.scale, cache.guidance_delta)
    cache = replace(cache, guidance_delta=delta)
    if key_step is not None:
        histories = cache.histories
        if run.plan.forecasts:
            time = float(run.schedule.timesteps[index])
            histories = _append_histories(histories, time, key_step.f_u31, mode)
        direction = run.schedule.direction(index, latents, guided[:, 0])
        cache = replace(cache, key_step=key_step, direction=direction, histories=histories)
    return run.schedule.step(index, latents, guided[:, 0]), cache


def _following_steps(run: _Run[C], segment: Segment, latents: Tensor, cache: _Cache) -> tuple[Tensor, _Cache]:
    """Evaluate the steps after a key step, in one batch if they are parallel; latents (B, ...)."""
    groups: list[Sequence[int]] = [segment.steps] if segment.parallel else [[i] for i in segment.steps]
    for steps in groups:
        inputs = _estimate_inputs(run, steps, latents, cache)
        predictions, delta = _predict(run, segment, steps, inputs, cache)
        cache = replace(cache, guidance_delta=delta)
        # Second pass of LightningCP (section 2): true latents and fresh predictions, schedule arithmetic only.
        for index, prediction in zip(steps, predictions.unbind(1), strict=True):
            latents = run.schedule.step(index, latents, prediction)
    return latents, cache


def _estimate_inputs(run: _Run[C], steps: Sequence[int], latents: Tensor, cache: _Cache) -> Tensor:
    """Return input latents (B, steps, ...) of the steps of one evaluation (LightningCP, input latents estimation).

    The first step takes the true latents (B, ...). Later steps take latents rolled forward with the cached
    direction, or, before the plan's threshold, the latents of the first step.
    """
    inputs, rolled = [latents], latents
    for index in steps[1:]:
        assert cache.direction is not None
        rolled = run.schedule.roll(index - 1, rolled, cache.direction)
        inputs.append(rolled if index >= run.plan.estimate_from else latents)
    return torch.stack(inputs, dim=1)


def _predict(
    run: _Run[C], segment: Segment, steps: Sequence[int], inputs: Tensor, cache: _Cache
) -> tuple[Tensor, Tensor | None]:
    """Return guided predictions of inputs (B, steps, ...), in the same shape, and the guidance difference (B, ...)."""
    mode, count = run.mode(segment.following_guidance), len(steps)
    rows, conditions = run.rows(mode, inputs.flatten(0, 1))
    times = run.times[steps[0] : steps[0] + count].repeat(rows.shape[0] // count)
    assert cache.key_step is not None
    cached = cache.key_step.last_rows(rows.shape[0] // count)
    if segment.cut == "shallow":
        prediction = run.denoiser.shallow(rows, cached.f_u30, times, conditions)
    elif segment.cut == "decoder":
        prediction = run.denoiser.decode(cached.encoder, times, conditions)
    else:
        feature = cached.f_u31
        if segment.forecast:
            feature = _forecast(cache.histories, [float(run.schedule.timesteps[i]) for i in steps], mode)
        inside = (run.foreground, cached.background) if segment.foreground else (None, None)
        prediction = run.denoiser.head(rows, feature, times, conditions, *inside)
    return apply_guidance(prediction, count, mode, run.scale, cache.guidance_delta)


def _append_histories(
    histories: tuple[FeatureHistory, FeatureHistory], time: float, feature: Tensor, mode: str
) -> tuple[FeatureHistory, FeatureHistory]:
    """Append feature (rows, ...) to the histories of the branches that this mode evaluates."""
    unconditional, conditional = histories
    if mode == "evaluate":
        first, feature = feature.chunk(2)
        unconditional = unconditional.append(time, first)
    return unconditional, conditional.append(time, feature)


def _forecast(histories: tuple[FeatureHistory, FeatureHistory], times: Sequence[float], mode: str) -> Tensor:
    """Return f_u31 (rows * times, ...) of the branches that this mode evaluates, the times of a row adjacent."""
    branches = histories if mode == "evaluate" else histories[1:]
    rows = torch.cat([torch.stack([each.extrapolate(t) for t in times], dim=1) for each in branches])
    return rows.flatten(0, 1)
