"""`lipstream plan PRESET`: how a preset samples, and what it costs at full size."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lipstream_accel.plan import Plan
from lipstream_accel.plan_text import describe
from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.price import Price

from ..analysis.meta_models import (
    FACE_SHARE,
    FullSize,
    compare,
    full_size,
)
from ..errors import LipstreamError
from ..pipeline import read_plan


def plan_command(
    name: Annotated[
        str, typer.Argument(metavar="PRESET", help=f"{', '.join(PRESETS)}; or a plan's JSON file")
    ],
    model: Annotated[Literal["hallo", "bundled"], typer.Option(help="at whose full size")] = "hallo",
    steps: Annotated[
        int | None, typer.Option(help="sampling steps; the model's own number without it")
    ] = None,
    face: Annotated[float, typer.Option(help="share of the picture that is foreground (DFA)")] = FACE_SHARE,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """How a preset samples, and how many FLOPs a clip takes: counted, not timed, at the model's full size."""
    size = full_size(model)
    try:
        plan = _plan(name, steps, size)
        prices = compare(plan, size, face)
    except ValueError as error:
        raise LipstreamError(str(error)) from error
    typer.echo(json.dumps(as_dict(plan, size, prices), indent=2) if as_json else as_text(plan, size, prices))


def _plan(name: str, steps: int | None, size: FullSize) -> Plan:
    if not name.endswith(".json"):
        return preset(name, size.defaults.steps_for(name) if steps is None else steps)
    plan = read_plan(Path(name))
    if steps not in (None, plan.steps):
        raise ValueError(f"{name} is a plan of {plan.steps} steps; leave --steps out, got {steps}")
    return plan


def as_dict(plan: Plan, size: FullSize, prices: dict[str, Price]) -> dict[str, Any]:
    """Everything that is printed, as JSON values; TFLOP are 1e12 FLOPs, two for a multiplication and an addition."""
    own = prices["exact" if plan.exact else "as released"]
    return {
        "plan": asdict(plan),
        "keys": list(plan.keys),
        "model": size.name,
        "frames": size.defaults.window,
        "guidance": size.defaults.guidance,
        "tflop_per_clip": own.tflop,
        "tflop_per_clip_as_released": prices["as released"].tflop,
        "tflop_per_clip_exact": prices["exact"].tflop,
        "tflop_per_clip_base": prices["base"].tflop,
        "times_less_than_base": prices["base"].flops / own.flops,
        "evaluations": [asdict(kind) | {"tflop": kind.flops / 1e12} for kind in own.evaluations],
    }


def as_text(plan: Plan, size: FullSize, prices: dict[str, Price]) -> str:
    """The plan, and a line for each kind of evaluation."""
    own = prices["exact" if plan.exact else "as released"]
    kinds = [
        f"  {kind.times:>3} x {kind.name}, {kind.rows} rows: {kind.flops / 1e12:.4g} TFLOP each"
        for kind in own.evaluations
    ]
    return "\n".join(
        [
            describe(plan),
            f"{own.tflop:.5g} TFLOP per clip of {size.defaults.window} frames ({size.name} at full size, guidance "
            f"{size.defaults.guidance:g}), {prices['base'].flops / own.flops:.2f}x less than base",
            *kinds,
            f"  as released {prices['as released'].tflop:.5g}, on exact code {prices['exact'].tflop:.5g}, "
            f"base as released {prices['base'].tflop:.5g}",
        ]
    )
