"""JSON serialisation of plans. Unknown keys are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from .plan import Plan, Segment
from .rules import PlanError

_RULE = "JSON of a plan"
_TYPES: Mapping[str, type] = {
    "int": int,
    "bool": bool,
    "str": str,
    "Cut": str,
    "Guidance": str,
    "tuple[Segment, ...]": list,
    "tuple[str, ...]": list,
}


def plan_to_json(plan: Plan) -> str:
    """Return the plan as one JSON object with all its fields."""
    return json.dumps(asdict(plan), indent=2)


def plan_from_json(text: str) -> Plan:
    """Parse the output of `plan_to_json`; omitted fields take their defaults. Raises PlanError for anything else."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError("?", _RULE, f"not JSON ({error})") from error
    if not isinstance(values, dict):
        raise PlanError("?", _RULE, f"expected an object, got {type(values).__name__}")
    name = str(values.get("name", "?"))
    fields_of_plan = _validated(name, Plan, values)
    fields_of_plan["segments"] = tuple(
        Segment(**_validated(name, Segment, segment)) for segment in fields_of_plan["segments"]
    )
    layers = fields_of_plan.get("without_reference", [])
    if not all(isinstance(layer, str) for layer in layers):
        raise PlanError(name, _RULE, f"without_reference: expected a list of layer names, got {layers!r}")
    return Plan(**{**fields_of_plan, "without_reference": tuple(layers)})


def _validated(plan: str, kind: type[Plan] | type[Segment], values: object) -> dict[str, Any]:
    """Return the values if every key is a field of ``kind`` and every value has the type of its field."""
    where = kind.__name__.lower()
    if not isinstance(values, dict):
        raise PlanError(plan, _RULE, f"{where}: expected an object, got {values!r}")
    types = {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise PlanError(plan, _RULE, f"{where}: unknown keys {unknown}; expected keys are {sorted(types)}")
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in values]
    if missing:
        raise PlanError(plan, _RULE, f"{where}: missing keys {missing}")
    for key, value in values.items():
        if type(value) is not types[key]:
            raise PlanError(plan, _RULE, f"{where}.{key}: expected {types[key].__name__}, got {value!r}")
    return dict(values)
