"""Named plans for any number of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .plan import Plan
from .rules import Guidance

# The paper takes 11 key steps of Hallo's 40, which its FLOP figures prove; which steps they are it does not say.
PAPER_KEYS = 11
# Its plot of latents and noise puts the threshold of input latents estimation at step 10 of 40.
PAPER_THRESHOLD = 10
# The layer whose reference tokens it leaves out has the finest resolution and is not the last; D_00 exists at every depth.
PAPER_WITHOUT_REFERENCE = ("down_blocks.0.0",)
# Fewer than the paper's cost little fidelity (README, "What was tried").
BALANCED_KEYS = 9
REALTIME_KEYS = 7
PAPER_STEPS = 40


def preset(name: str, steps: int) -> Plan:
    """The plan called ``name`` for a sampler of ``steps`` steps.

    Raises ValueError for a name that is not in ``PRESETS`` or fewer steps than one.
    """
    if name not in _PLANS:
        raise ValueError(f"unknown preset {name!r}: expected one of {', '.join(PRESETS)}")
    if steps < 1:
        raise ValueError(f"a preset needs at least 1 step, got {steps}")
    return replace(_PLANS[name](steps), name=name)


def key_steps(steps: int, of_40: int) -> tuple[int, ...]:
    """The share ``of_40`` / 40 of the steps, rounded down but at least one: about half of them at the start, where features
    change fastest, the rest evenly spaced.

    11 of 40 steps are 0, 1, 2, 3, 4, 9, 14, 19, 24, 29, 34, one of the two lists that fit the paper's latencies.
    """
    count = max(1, steps * of_40 // PAPER_STEPS)
    early = max(1, round(count * 5 / 11))
    spacing = (steps - early + 1) / (count - early + 1)
    return (*range(early), *(early - 1 + int(j * spacing) for j in range(1, count - early + 1)))


def _base(steps: int) -> Plan:
    return Plan.from_keys("base", steps, range(steps), exact=False)


def _exact(steps: int) -> Plan:
    return Plan.from_keys("exact", steps, range(steps))


def _deepcache(steps: int) -> Plan:
    keys = key_steps(steps, PAPER_KEYS)
    return Plan.from_keys("deepcache", steps, keys, cut="shallow", parallel=False)


def _fasterdiffusion(steps: int) -> Plan:
    return Plan.from_keys("fasterdiffusion", steps, key_steps(steps, PAPER_KEYS), cut="decoder")


def _lightningcp(steps: int, foreground: bool = False) -> Plan:
    return Plan.from_keys(
        "lightningcp",
        steps,
        key_steps(steps, PAPER_KEYS),
        estimate_from=steps * PAPER_THRESHOLD // PAPER_STEPS,
        foreground=foreground,
    )


def _lightningcp_dfa(steps: int) -> Plan:
    return _lightningcp(steps, foreground=True)


def _paper(steps: int) -> Plan:
    return replace(_lightningcp_dfa(steps), without_reference=PAPER_WITHOUT_REFERENCE)


def sparing_guidance(plan: Plan) -> Plan:
    """The same with guidance evaluated at every other key step only, and reused at all other steps."""
    modes: tuple[Guidance, Guidance] = ("evaluate", "reuse")
    segments = tuple(
        replace(each, guidance=modes[i % 2], following_guidance="reuse")
        for i, each in enumerate(plan.segments)
    )
    return replace(plan, segments=segments)


def _sparing(steps: int, of_40: int, foreground: bool) -> Plan:
    plan = Plan.from_keys(
        "sparing",
        steps,
        key_steps(steps, of_40),
        estimate_from=steps * PAPER_THRESHOLD // PAPER_STEPS,
        foreground=foreground,
    )
    return sparing_guidance(plan)


def _balanced(steps: int) -> Plan:
    return _sparing(steps, BALANCED_KEYS, foreground=False)


def _realtime(steps: int) -> Plan:
    return _sparing(steps, REALTIME_KEYS, foreground=True)


_PLANS: dict[str, Callable[[int], Plan]] = {
    "base": _base,
    "exact": _exact,
    "deepcache": _deepcache,
    "fasterdiffusion": _fasterdiffusion,
    "lightningcp": _lightningcp,
    "lightningcp-dfa": _lightningcp_dfa,
    "paper": _paper,
    "balanced": _balanced,
    "realtime": _realtime,
}
PRESETS = tuple(_PLANS)
