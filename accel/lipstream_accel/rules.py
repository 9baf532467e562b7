"""Which plans are possible. Every rule has a name, and an error names the rule that was broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor

if TYPE_CHECKING:
    from .plan import Plan

Guidance = Literal["evaluate", "reuse", "skip"]
Cut = Literal["head", "shallow", "decoder"]


class PlanError(ValueError):
    """An impossible plan, or one that does not fit what it is run with. ``rule`` is the name of the broken rule."""

    def __init__(self, plan: str, rule: str, problem: str) -> None:
        super().__init__(f"plan {plan!r} breaks the rule {rule!r}: {problem}")
        self.rule = rule


def check_plan(plan: Plan) -> None:
    """Raises PlanError for the first rule that the plan breaks on its own."""
    for rule, problems in _RULES.items():
        for problem in problems(plan):
            raise PlanError(plan.name, rule, problem)


def check_run(
    plan: Plan, denoiser: object, schedule_steps: int, rows: int, foreground: Tensor | None
) -> None:
    """Raises PlanError where a plan does not fit its denoiser, its schedule or its foreground tokens."""
    if schedule_steps != plan.steps:
        problem = f"the plan has {plan.steps} steps, its schedule {schedule_steps}"
        raise PlanError(plan.name, "schedule of as many steps", problem)
    if rows < 1:
        raise PlanError(plan.name, "something to sample", f"expected at least 1 row of latents, got {rows}")
    lacking = [name for name in _methods(plan) if not hasattr(denoiser, name)]
    if lacking:
        problem = f"expected {type(denoiser).__name__} to have {', '.join(lacking)}; see `denoiser.DenoiserProtocol`"
        raise PlanError(plan.name, "cut points exist", problem)
    if plan.without_reference:
        known: Sequence[str] = getattr(denoiser, "layer_names", ())
        unknown = [name for name in plan.without_reference if name not in known]
        if unknown:
            problem = f"unknown layer {unknown[0]!r}; this denoiser's are {', '.join(known)}"
            raise PlanError(plan.name, "layers exist", problem)
    if plan.needs_foreground:
        if foreground is None:
            problem = "pass `foreground`, the indices of the face's tokens at the last layer"
            raise PlanError(plan.name, "foreground given", problem)
        if foreground.ndim != 1 or foreground.numel() == 0:
            problem = (
                f"expected at least one token index in one dimension, got shape {tuple(foreground.shape)}"
            )
            raise PlanError(plan.name, "mask not empty", problem)


def _methods(plan: Plan) -> list[str]:
    if not plan.reuses:
        return ["whole"]
    names = {"head": "head", "shallow": "shallow", "decoder": "decode"}
    return ["key_step", *sorted({names[segment.cut] for segment in plan.segments if segment.following})]


def _key_step_first(plan: Plan) -> Iterator[str]:
    if not plan.segments:
        yield "expected at least one segment, got none"
    elif plan.segments[0].key != 0:
        yield f"the first step must be a key step, but the first key step is step {plan.segments[0].key}"


def _steps_add_up(plan: Plan) -> Iterator[str]:
    if plan.steps < 1:
        yield f"expected at least 1 step, got {plan.steps}"
    expected = 0
    for segment in plan.segments:
        if segment.following < 0:
            yield f"key step {segment.key} is followed by {segment.following} steps, expected 0 or more"
        if segment.key != expected:
            yield f"the next key step must be step {expected}, got step {segment.key}"
        expected = segment.key + 1 + segment.following
    if expected != plan.steps:
        yield f"the segments have {expected} steps together, the plan {plan.steps}"


def _threshold_in_range(plan: Plan) -> Iterator[str]:
    if not 0 <= plan.estimate_from <= plan.steps:
        yield f"estimate_from must be between 0 and {plan.steps}, got {plan.estimate_from}"


def _words_known(plan: Plan) -> Iterator[str]:
    cuts, guidances = get_args(Cut), get_args(Guidance)
    for segment in plan.segments:
        if segment.cut not in cuts:
            yield f"unknown cut {segment.cut!r} at key step {segment.key}: expected one of {', '.join(cuts)}"
        for word in (segment.guidance, segment.following_guidance):
            if word not in guidances:
                yield f"unknown guidance {word!r} at key step {segment.key}: expected one of {', '.join(guidances)}"


def _evaluated_before_reused(plan: Plan) -> Iterator[str]:
    evaluated = False
    for segment in plan.segments:
        words = [segment.guidance, *([segment.following_guidance] if segment.following else [])]
        for word in words:
            if word == "reuse" and not evaluated:
                yield f"guidance is reused at key step {segment.key} before any step evaluated it"
            evaluated = evaluated or word == "evaluate"


def _both_branches_kept(plan: Plan) -> Iterator[str]:
    for segment in plan.segments:
        wants = segment.following and segment.following_guidance == "evaluate"
        if wants and segment.guidance != "evaluate":
            yield (
                f"the steps after key step {segment.key} evaluate guidance, but the key step ({segment.guidance}) "
                "kept no unconditional features"
            )


def _only_of_the_head(plan: Plan) -> Iterator[str]:
    for segment in plan.segments:
        if segment.cut != "head" and (segment.foreground or segment.forecast):
            yield f"foreground and forecast need the cut 'head', got {segment.cut!r} at key step {segment.key}"


def _forecast_order(plan: Plan) -> Iterator[str]:
    for segment in plan.segments:
        if segment.forecast not in (0, 1):
            yield f"forecast must be 0 (hold) or 1 (line), got {segment.forecast!r} at key step {segment.key}"


def _layers_named_once(plan: Plan) -> Iterator[str]:
    for name in plan.without_reference:
        if not name or plan.without_reference.count(name) > 1:
            yield f"expected different layer names, got {list(plan.without_reference)}"


_RULES: dict[str, Callable[[Plan], Iterator[str]]] = {
    "key step first": _key_step_first,
    "steps add up": _steps_add_up,
    "threshold in range": _threshold_in_range,
    "words known": _words_known,
    "guidance evaluated before reused": _evaluated_before_reused,
    "both branches kept": _both_branches_kept,
    "foreground and forecast of the head only": _only_of_the_head,
    "forecast of order 0 or 1": _forecast_order,
    "layers named once": _layers_named_once,
}
