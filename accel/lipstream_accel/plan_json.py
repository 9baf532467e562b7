"""Plans as JSON, both ways; unknown keys are refused."""

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


def to_json(plan: Plan) -> str:
    """The plan as one JSON object, every setting written out."""
    return json.dumps(asdict(plan), indent=2)


def from_json(text: str) -> Plan:
    """The plan that `to_json` wrote. Raises PlanError for anything else."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError("?", _RULE, f"not JSON ({error})") from error
    if not isinstance(values, dict):
        raise PlanError("?", _RULE, f"expected an object, got {type(values).__name__}")
    name = str(values.get("name", "?"))
    known = _checked(name, Plan, values)
    known["segments"] = tuple(Segment(**_checked(name, Segment, one)) for one in known["segments"])
    layers = known.get("without_reference", [])
    if not all(isinstance(layer, str) for layer in layers):
        raise PlanError(name, _RULE, f"without_reference: expected a list of layer names, got {layers!r}")
    return Plan(**{**known, "without_reference": tuple(layers)})


def _checked(plan: str, kind: type[Plan] | type[Segment], values: object) -> dict[str, Any]:
    """The values when they are exactly those that a plan or a segment takes, each of its type."""
    where = kind.__name__.lower()
    if not isinstance(values, dict):
        raise PlanError(plan, _RULE, f"{where}: expected an object, got {values!r}")
    types = {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise PlanError(plan, _RULE, f"{where}: unknown keys {unknown}; known are {sorted(types)}")
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in values]
    if missing:
        raise PlanError(plan, _RULE, f"{where}: missing keys {missing}")
    for key, value in values.items():
        if type(value) is not types[key]:
            raise PlanError(plan, _RULE, f"{where}.{key}: expected {types[key].__name__}, got {value!r}")
    return dict(values)
