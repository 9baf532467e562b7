"""Greedy search for plans: leave out work, piece by piece, where it costs the least fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .plan import Plan, Segment
from .rules import PlanError

MoveKind = Literal["drop", "reuse", "reuse after"]


@dataclass(frozen=True)
class Move:
    """A change that makes a plan cheaper.

    Attributes:
        kind: "drop": make the key step and its following steps follow the key step before it; "reuse": reuse
            guidance at the key step and after it; "reuse after": reuse guidance at the following steps only.
        key: index of the key step.
    """

    kind: MoveKind
    key: int


@dataclass(frozen=True)
class RatedPlan:
    """A plan with its fidelity and its cost, in the units of the caller's measures."""

    plan: Plan
    fidelity: float
    cost: float


def search_plans(
    plan: Plan,
    fidelity: Callable[[Plan], float],
    cost: Callable[[Plan], float],
    floor: float,
    *,
    forecast: bool = False,
) -> Iterator[RatedPlan]:
    """Yield cheaper and cheaper plans whose fidelity stays at or above the floor, one move after the other.

    Every move is the one that saves the most cost for the fidelity it loses. A move is not measured again while its
    last value is below the value of another move in the same round: the value of a piece of work grows, the fewer
    pieces are left (lazy greedy search, Minoux 1978).

    Args:
        plan: plan to start from.
        fidelity: measure of quality; higher is better.
        cost: measure of work; lower is better.
        floor: lowest fidelity of a yielded plan.
        forecast: also try to extrapolate f_U31 where a key step is dropped, which doubles the plans to measure.
    """
    current = RatedPlan(plan, fidelity(plan), cost(plan))
    values: dict[Move, float] = {}
    while True:
        best: tuple[float, RatedPlan] | None = None
        moves = sorted(_possible_moves(current.plan), key=lambda move: -values.get(move, float("inf")))
        for move in moves:
            if best is not None and best[0] >= values.get(move, float("inf")):
                break
            values[move] = 0.0
            for candidate in _apply_move(current.plan, move, (0, 1) if forecast else (0,)):
                rated = RatedPlan(candidate, fidelity(candidate), cost(candidate))
                if rated.fidelity < floor or rated.cost >= current.cost:
                    continue
                value = (current.cost - rated.cost) / max(current.fidelity - rated.fidelity, 1e-6)
                values[move] = max(values[move], value)
                if best is None or value > best[0]:
                    best = (value, rated)
        if best is None:
            return
        current = best[1]
        yield current


def _possible_moves(plan: Plan) -> Iterator[Move]:
    for number, segment in enumerate(plan.segments):
        if number:
            yield Move("drop", segment.key)
            if segment.guidance == "evaluate":
                yield Move("reuse", segment.key)
        if segment.following and segment.following_guidance == "evaluate":
            yield Move("reuse after", segment.key)


def _apply_move(plan: Plan, move: Move, forecast_orders: Sequence[int]) -> Iterator[Plan]:
    """Yield the valid plans that a move leads to.

    After a drop, guidance is that of either key step, and f_U31 is forecast with each of the orders.
    """
    number = plan.keys.index(move.key)
    segment = plan.segments[number]
    if move.kind == "drop":
        before = plan.segments[number - 1]
        merged = replace(before, following=before.following + 1 + segment.following)
        for order in forecast_orders:
            for guidance in sorted({before.following_guidance, segment.following_guidance}):
                changed = replace(merged, forecast=order, following_guidance=guidance)
                yield from _valid_plan(
                    plan, (*plan.segments[: number - 1], changed, *plan.segments[number + 1 :])
                )
        return
    changed = replace(segment, following_guidance="reuse")
    if move.kind == "reuse":
        changed = replace(changed, guidance="reuse")
    yield from _valid_plan(plan, (*plan.segments[:number], changed, *plan.segments[number + 1 :]))


def _valid_plan(plan: Plan, segments: tuple[Segment, ...]) -> Iterator[Plan]:
    """Yield the plan with these segments if no rule forbids it."""
    try:
        yield replace(plan, segments=segments)
    except PlanError:
        return
