"""How a clip is sampled, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """A named way to sample: every step is a key step, the whole network runs at each."""

    name: str
    steps: int


PRESETS = ("base",)


def preset(name: str, steps: int) -> Plan:
    """The plan called ``name`` for a sampler of ``steps`` steps.

    Raises ValueError for a name that is not in ``PRESETS``.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: expected one of {', '.join(PRESETS)}")
    return Plan(name, steps)
