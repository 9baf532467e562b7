"""Human-readable description of a plan, one line for each segment."""

from __future__ import annotations

from .plan import Plan, Segment

_CUTS = {
    "head": "U_32 on f_U31",
    "shallow": "D_00, U_31, U_32 on f_U30",
    "decoder": "decoder on cached skips",
}


def describe_plan(plan: Plan) -> str:
    """Return the plan as lines of text."""
    count = len(plan.segments)
    projection = (
        "conditions projected once"
        if plan.project_once
        else "conditions projected at every step, as released"
    )
    lines = [f"{plan.name}: {plan.steps} steps, {count} of them key steps; {projection}"]
    if plan.reuses:
        lines.append(f"  latents estimated from step {plan.estimate_from}")
    if plan.without_reference:
        lines.append(f"  without reference tokens: {', '.join(plan.without_reference)}")
    if plan.reuses or any(segment.guidance != "evaluate" for segment in plan.segments):
        lines += [_describe_segment(segment) for segment in plan.segments]
    return "\n".join(lines)


def _describe_segment(segment: Segment) -> str:
    line = f"  key {segment.key:>3}  guidance {segment.guidance}"
    if not segment.following:
        return line
    steps = segment.steps
    span = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]}-{steps[-1]}"
    words = ["in one batch" if segment.parallel else "one by one", _CUTS[segment.cut]]
    words.append(f"guidance {segment.following_guidance}")
    words += ["inside the face"] * segment.foreground + ["f_U31 forecast on a line"] * (segment.forecast == 1)
    return f"{line:<28} then {span}: {', '.join(words)}"
