"""The sampling loop: a pure function of a denoiser, a plan, latents and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from .denoiser import ConditionsProtocol, DenoiserProtocol, KeyStepProtocol
from .feature_history import Trace
from .guidance import guide
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
    """Denoises ``latents`` (B, C, F, h, w) from pure noise to clean latents of the same shape, as the plan says.

    With ``guidance_scale`` above 1 the conditions describe 2 B rows, unconditional rows first, and the prediction is
    u + s (c - u); otherwise they describe B rows. foreground: indices (L,) of the face's tokens at the last layer, for plans
    that attend inside the face. Raises PlanError where the plan does not fit what it is run with.
    """
    check_run(plan, denoiser, len(schedule.timesteps), latents.shape[0], foreground)
    clip = _Clip.of(denoiser, plan, schedule, latents, conditions, guidance_scale, foreground)
    memory: _Memory = _Memory()
    for segment in plan.segments:
        latents, memory = _key_step(clip, segment, latents, memory)
        if segment.following:
            latents, memory = _following_steps(clip, segment, latents, memory)
    return latents


@dataclass(frozen=True)
class _Clip(Generic[C]):
    """What stays the same over all steps. conditional: conditions of the conditional rows alone, where the plan needs them."""

    denoiser: DenoiserProtocol[C]
    plan: Plan
    schedule: Schedule
    times: Tensor
    conditions: C
    conditional: C
    scale: float
    foreground: Tensor | None

    @classmethod
    def of(
        cls,
        denoiser: DenoiserProtocol[C],
        plan: Plan,
        schedule: Schedule,
        latents: Tensor,
        conditions: C,
        scale: float,
        foreground: Tensor | None,
    ) -> _Clip[C]:
        times = torch.tensor(schedule.timesteps, device=latents.device)
        if plan.without_reference:
            conditions = conditions.without_reference(plan.without_reference)
        modes = {word for s in plan.segments for word in (s.guidance, s.following_guidance)}
        alone = scale > 1 and modes != {"evaluate"}
        conditional = conditions.conditional() if alone else conditions
        return cls(denoiser, plan, schedule, times, conditions, conditional, scale, foreground)

    def mode(self, planned: str) -> str:
        """Without guidance there is one branch, whatever the plan says."""
        return planned if self.scale > 1 else "skip"

    def rows(self, mode: str, latents: Tensor) -> tuple[Tensor, C]:
        """Latents of the rows that this mode evaluates, and their conditions."""
        if mode == "evaluate":
            return torch.cat([latents, latents]), self.conditions
        return latents, self.conditional


@dataclass(frozen=True)
class _Memory:
    """What later steps know of earlier ones. direction: what the last key step predicted, see `Schedule.direction`;
    difference: between guidance branches; traces of f_u31: of the unconditional and the conditional branch.
    """

    kept: KeyStepProtocol | None = None
    direction: Tensor | None = None
    difference: Tensor | None = None
    traces: tuple[Trace, Trace] = (Trace(), Trace())


def _key_step(clip: _Clip[C], segment: Segment, latents: Tensor, memory: _Memory) -> tuple[Tensor, _Memory]:
    """The whole network at the segment's key step."""
    index, mode = segment.key, clip.mode(segment.guidance)
    rows, conditions = clip.rows(mode, latents)
    times = clip.times[index].repeat(rows.shape[0])
    kept = clip.denoiser.key_step(rows, times, conditions) if clip.plan.reuses else None
    prediction = clip.denoiser.whole(rows, times, conditions) if kept is None else kept.prediction
    guided, difference = guide(prediction, 1, mode, clip.scale, memory.difference)
    memory = replace(memory, difference=difference)
    if kept is not None:
        traces = memory.traces
        if clip.plan.forecasts:
            traces = _extended(traces, float(clip.schedule.timesteps[index]), kept.f_u31, mode)
        direction = clip.schedule.direction(index, latents, guided[:, 0])
        memory = replace(memory, kept=kept, direction=direction, traces=traces)
    return clip.schedule.step(index, latents, guided[:, 0]), memory


def _following_steps(
    clip: _Clip[C], segment: Segment, latents: Tensor, memory: _Memory
) -> tuple[Tensor, _Memory]:
    """The steps after a key step: in one evaluation when they are parallel, else in one each."""
    groups: list[Sequence[int]] = [segment.steps] if segment.parallel else [[i] for i in segment.steps]
    for steps in groups:
        inputs = _inputs(clip, steps, latents, memory)
        predictions, difference = _predict(clip, segment, steps, inputs, memory)
        memory = replace(memory, difference=difference)
        # The second pass of the paper's section 2: true latents, fresh predictions, scheduler arithmetic only.
        for index, prediction in zip(steps, predictions.unbind(1), strict=True):
            latents = clip.schedule.step(index, latents, prediction)
    return latents, memory


def _inputs(clip: _Clip[C], steps: Sequence[int], latents: Tensor, memory: _Memory) -> Tensor:
    """Latents (B, steps, ...) that the steps of one evaluation see: true ones at the first; at later ones estimated by rolling
    the scheduler forward, or, before the threshold, those of the first (paper, section 2).
    """
    inputs, rolled = [latents], latents
    for index in steps[1:]:
        assert memory.direction is not None
        rolled = clip.schedule.roll(index - 1, rolled, memory.direction)
        inputs.append(rolled if index >= clip.plan.estimate_from else latents)
    return torch.stack(inputs, dim=1)


def _predict(
    clip: _Clip[C], segment: Segment, steps: Sequence[int], inputs: Tensor, memory: _Memory
) -> tuple[Tensor, Tensor | None]:
    """Guided predictions (B, steps, ...) of one evaluation, entered at the segment's cut."""
    mode, count = clip.mode(segment.following_guidance), len(steps)
    rows, conditions = clip.rows(mode, inputs.flatten(0, 1))
    times = clip.times[steps[0] : steps[0] + count].repeat(rows.shape[0] // count)
    assert memory.kept is not None
    kept = memory.kept.last_rows(rows.shape[0] // count)
    if segment.cut == "shallow":
        prediction = clip.denoiser.shallow(rows, kept.f_u30, times, conditions)
    elif segment.cut == "decoder":
        prediction = clip.denoiser.decode(kept.encoder, times, conditions)
    else:
        feature = kept.f_u31
        if segment.forecast:
            feature = _forecast(memory.traces, [float(clip.schedule.timesteps[i]) for i in steps], mode)
        inside = (clip.foreground, kept.background) if segment.foreground else (None, None)
        prediction = clip.denoiser.head(rows, feature, times, conditions, *inside)
    return guide(prediction, count, mode, clip.scale, memory.difference)


def _extended(traces: tuple[Trace, Trace], time: float, feature: Tensor, mode: str) -> tuple[Trace, Trace]:
    unconditional, conditional = traces
    if mode == "evaluate":
        first, feature = feature.chunk(2)
        unconditional = unconditional.after(time, first)
    return unconditional, conditional.after(time, feature)


def _forecast(traces: tuple[Trace, Trace], times: Sequence[float], mode: str) -> Tensor:
    """f_u31 (rows * times, ...) of the branches that this mode evaluates, the times of each row next to each other."""
    branches = traces if mode == "evaluate" else traces[1:]
    rows = torch.cat([torch.stack([trace.at(t) for t in times], dim=1) for trace in branches])
    return rows.flatten(0, 1)
