"""`lipstream plan`: the steps of a preset, and its cost at full size."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lipstream_accel.plan import Plan
from lipstream_accel.plan_text import describe_plan
from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.price import Price

from ..analysis.meta_models import (
    FACE_SHARE,
    MetaModel,
    compare_costs,
    meta_model,
)
from ..errors import LipstreamError
from ..sampling import read_plan


def plan_command(
    name: Annotated[
        str, typer.Argument(metavar="PRESET", help=f"Preset ({', '.join(PRESETS)}) or JSON file of a plan.")
    ],
    model: Annotated[
        Literal["hallo", "bundled"], typer.Option(help="Model at whose full size the cost is counted.")
    ] = "hallo",
    steps: Annotated[
        int | None, typer.Option(help="Number of sampling steps. Without it, the model's own.")
    ] = None,
    face: Annotated[
        float, typer.Option(help="Share of the frame that the face covers (DFA), 0 to 1.")
    ] = FACE_SHARE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how a preset samples, and the FLOPs of a window, counted at the model's full size."""
    size = meta_model(model)
    try:
        plan = _plan(name, steps, size)
        prices = compare_costs(plan, size, face)
    except ValueError as error:
        raise LipstreamError(str(error)) from error
    typer.echo(json.dumps(as_dict(plan, size, prices), indent=2) if as_json else as_text(plan, size, prices))


def _plan(name: str, steps: int | None, size: MetaModel) -> Plan:
    if not name.endswith(".json"):
        return preset(name, size.defaults.steps_for(name) if steps is None else steps)
    plan = read_plan(Path(name))
    if steps not in (None, plan.steps):
        raise ValueError(f"{name} is a plan of {plan.steps} steps; leave --steps out, got {steps}")
    return plan


def as_dict(plan: Plan, size: MetaModel, prices: dict[str, Price]) -> dict[str, Any]:
    """Return plan and costs as JSON values; a multiplication and an addition are two FLOPs."""
    own = prices["exact" if plan.project_once else "as released"]
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


def as_text(plan: Plan, size: MetaModel, prices: dict[str, Price]) -> str:
    """Return the plan as text, with a line for each kind of evaluation."""
    own = prices["exact" if plan.project_once else "as released"]
    kinds = [
        f"  {kind.times:>3} x {kind.name}, {kind.rows} rows: {kind.flops / 1e12:.4g} TFLOP each"
        for kind in own.evaluations
    ]
    return "\n".join(
        [
            describe_plan(plan),
            f"{own.tflop:.5g} TFLOP per clip of {size.defaults.window} frames ({size.name} at full size, guidance "
            f"{size.defaults.guidance:g}), {prices['base'].flops / own.flops:.2f}x less than base",
            *kinds,
            f"  as released {prices['as released'].tflop:.5g}, on exact code {prices['exact'].tflop:.5g}, "
            f"base as released {prices['base'].tflop:.5g}",
        ]
    )
