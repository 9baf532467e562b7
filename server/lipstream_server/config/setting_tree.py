"""The settings as a flat list: what a tree of dataclasses holds, by dotted key, each with its type, default and description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from math import isfinite
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True)
class Leaf:
    """One setting. kind: its type. description: from the docstring of its class, where the default stands too."""

    key: str
    kind: Any
    default: Any
    description: str


def leaves(kind: type[Any], prefix: str = "") -> dict[str, Leaf]:
    """Every setting of a tree of dataclasses, by key, such as `clips.keep_seconds`."""
    found: dict[str, Leaf] = {}
    hints = get_type_hints(kind)
    told = descriptions(kind)
    for field in fields(kind):
        key = prefix + field.name
        if is_dataclass(hints[field.name]):
            found |= leaves(hints[field.name], f"{key}.")
        else:
            found[key] = Leaf(key, hints[field.name], _default(field), told.get(field.name, ""))
    return found


def descriptions(kind: type[Any]) -> dict[str, str]:
    """What the docstrings of a class and of those that it extends say of its fields: `name: text` or `one, other: text`."""
    told: dict[str, str] = {}
    names = "|".join(field.name for field in fields(kind))
    for each in reversed(kind.__mro__):
        text = " ".join((each.__dict__.get("__doc__") or "").split())
        # Nothing, then in turn the names of a description and its text.
        _, *parts = re.split(rf"(?:^|(?<= ))((?:{names})(?:, (?:{names}))*): ", text)
        for named, said in zip(parts[::2], parts[1::2], strict=True):
            told |= dict.fromkeys(named.split(", "), said.strip().rstrip("."))
    return told


def build(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """The tree with these values, by key, and defaults for all others. Raises ValueError for a combination that makes no sense."""
    hints = get_type_hints(kind)
    chosen: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]  # a dataclass, which mypy cannot say
        key = prefix + field.name
        if is_dataclass(hints[field.name]):
            chosen[field.name] = build(hints[field.name], values, f"{key}.")
        elif key in values:
            chosen[field.name] = values[key]
    return kind(**chosen)


def sensible(value: Any) -> bool:
    """No setting is less than nothing, or without end."""
    numbers = value if isinstance(value, tuple) else (value,)
    return all(isfinite(each) and each >= 0 for each in numbers if isinstance(each, int | float))


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None
