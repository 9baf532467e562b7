"""Plans found by search instead of by hand: work is left out piece by piece, where it costs the least fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .plan import Plan, Segment
from .rules import PlanError

Kind = Literal["drop", "reuse", "reuse after"]


@dataclass(frozen=True)
class Move:
    """One piece of work to leave out. drop: the key step, whose steps then follow the key step before it. reuse: guidance at the
    key step and after it. reuse after: guidance at the steps that follow the key step.
    """

    kind: Kind
    key: int


@dataclass(frozen=True)
class RatedPlan:
    """A plan on the way, with its fidelity and its cost."""

    plan: Plan
    fidelity: float
    cost: float


def search(
    plan: Plan,
    fidelity: Callable[[Plan], float],
    cost: Callable[[Plan], float],
    floor: float,
    *,
    forecast: bool = False,
) -> Iterator[RatedPlan]:
    """Cheaper and cheaper plans whose fidelity stays at or above the floor, each a move away from the one before it.

    forecast: also tries to forecast f_U31 where a key step is left out, which doubles the plans to judge there.

    Greedy: every move is the one that saves the most cost for the fidelity that it loses. A move is not measured again while
    what it was worth last is less than what another has just been found to be worth: pieces of work are worth more, not less,
    the fewer of them are left (lazy greedy search, Minoux 1978).
    """
    now = RatedPlan(plan, fidelity(plan), cost(plan))
    worth: dict[Move, float] = {}
    while True:
        best: tuple[float, RatedPlan] | None = None
        candidates = sorted(_moves(now.plan), key=lambda move: -worth.get(move, float("inf")))
        for move in candidates:
            if best is not None and best[0] >= worth.get(move, float("inf")):
                break
            worth[move] = 0.0
            for plan in _after(now.plan, move, (0, 1) if forecast else (0,)):
                found = RatedPlan(plan, fidelity(plan), cost(plan))
                if found.fidelity < floor or found.cost >= now.cost:
                    continue
                value = (now.cost - found.cost) / max(now.fidelity - found.fidelity, 1e-6)
                worth[move] = max(worth[move], value)
                if best is None or value > best[0]:
                    best = (value, found)
        if best is None:
            return
        now = best[1]
        yield now


def _moves(plan: Plan) -> Iterator[Move]:
    for number, segment in enumerate(plan.segments):
        if number:
            yield Move("drop", segment.key)
            if segment.guidance == "evaluate":
                yield Move("reuse", segment.key)
        if segment.following and segment.following_guidance == "evaluate":
            yield Move("reuse after", segment.key)


def _after(plan: Plan, move: Move, orders: Sequence[int]) -> Iterator[Plan]:
    """What a move can lead to. After a drop guidance is as one of the two key steps had it; orders: of the feature's forecast,
    0 holds it.
    """
    number = plan.keys.index(move.key)
    segment = plan.segments[number]
    if move.kind == "drop":
        before = plan.segments[number - 1]
        merged = replace(before, following=before.following + 1 + segment.following)
        for order in orders:
            for guidance in sorted({before.following_guidance, segment.following_guidance}):
                changed = replace(merged, forecast=order, following_guidance=guidance)
                yield from _possible(
                    plan, (*plan.segments[: number - 1], changed, *plan.segments[number + 1 :])
                )
        return
    spared = replace(segment, following_guidance="reuse")
    if move.kind == "reuse":
        spared = replace(spared, guidance="reuse")
    yield from _possible(plan, (*plan.segments[:number], spared, *plan.segments[number + 1 :]))


def _possible(plan: Plan, segments: tuple[Segment, ...]) -> Iterator[Plan]:
    try:
        yield replace(plan, segments=segments)
    except PlanError:
        return
