"""Presets: named plans for any number of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .plan import Plan
from .rules import Guidance

# LightningCP takes 11 key steps of 40 on Hallo: its FLOP figures imply the number, but it does not list the steps.
PAPER_KEYS = 11
# LightningCP starts input latents estimation at step 10 of 40 on Hallo (figure 4).
PAPER_THRESHOLD = 10
# LightningCP removes reference tokens from a layer of the finest resolution that is not the last one, and does not say
# which; D_00 is such a layer and exists at every depth.
PAPER_WITHOUT_REFERENCE = ("down_blocks.0.0",)
# Fewer key steps than in LightningCP cost little fidelity (README, "Measured variants").
BALANCED_KEYS = 9
REALTIME_KEYS = 7
PAPER_STEPS = 40


def preset(name: str, steps: int) -> Plan:
    """Return the plan ``name`` for a sampler of ``steps`` steps.

    Raises ValueError if the name is not in ``PRESETS`` or ``steps`` is below 1.
    """
    if name not in _PLANS:
        raise ValueError(f"unknown preset {name!r}: expected one of {', '.join(PRESETS)}")
    if steps < 1:
        raise ValueError(f"a preset needs at least 1 step, got {steps}")
    return replace(_PLANS[name](steps), name=name)


def key_steps(steps: int, of_40: int) -> tuple[int, ...]:
    """Return the key steps of a plan: the share ``of_40`` / 40 of all steps, rounded down, at least one.

    About half of them are the first steps, where features change fastest; the others are evenly spaced. For 11 of
    40 steps they are 0, 1, 2, 3, 4, 9, 14, 19, 24, 29, 34, one of two lists that fit the latencies in LightningCP.
    """
    count = max(1, steps * of_40 // PAPER_STEPS)
    early = max(1, round(count * 5 / 11))
    spacing = (steps - early + 1) / (count - early + 1)
    return (*range(early), *(early - 1 + int(j * spacing) for j in range(1, count - early + 1)))


def _base(steps: int) -> Plan:
    return Plan.from_keys("base", steps, range(steps), project_once=False)


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


def reuse_guidance(plan: Plan) -> Plan:
    """Return the plan with guidance evaluated at every other key step and reused at all other steps."""
    modes: tuple[Guidance, Guidance] = ("evaluate", "reuse")
    segments = tuple(
        replace(each, guidance=modes[i % 2], following_guidance="reuse")
        for i, each in enumerate(plan.segments)
    )
    return replace(plan, segments=segments)


def _with_reused_guidance(steps: int, of_40: int, foreground: bool) -> Plan:
    plan = Plan.from_keys(
        "reused guidance",
        steps,
        key_steps(steps, of_40),
        estimate_from=steps * PAPER_THRESHOLD // PAPER_STEPS,
        foreground=foreground,
    )
    return reuse_guidance(plan)


def _balanced(steps: int) -> Plan:
    return _with_reused_guidance(steps, BALANCED_KEYS, foreground=False)


def _realtime(steps: int) -> Plan:
    return _with_reused_guidance(steps, REALTIME_KEYS, foreground=True)


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
