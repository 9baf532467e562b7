"""Plan search: valid plans, cheaper ones, within the fidelity floor."""

from dataclasses import replace

import pytest

from lipstream_accel.plan import Plan
from lipstream_accel.presets import preset
from lipstream_accel.search import search_plans

STEPS = 12


def cost(plan: Plan) -> float:
    """A key step costs 2, or 1 without guidance; a following step a tenth of that."""
    total = 0.0
    for segment in plan.segments:
        total += 2.0 if segment.guidance == "evaluate" else 1.0
        total += segment.following * (0.2 if segment.following_guidance == "evaluate" else 0.1)
    return total


def fidelity(plan: Plan) -> float:
    """Early key steps matter most, a forecast helps a little, and less guidance costs a little."""
    lost = sum(STEPS - step for segment in plan.segments for step in segment.steps) / 10
    lost -= 0.1 * sum(segment.forecast for segment in plan.segments)
    lost += 0.3 * sum(segment.guidance != "evaluate" for segment in plan.segments)
    lost += 0.01 * sum(segment.following_guidance != "evaluate" for segment in plan.segments)
    return 20 - lost


def test_search_yields_cheaper_plans_above_the_floor() -> None:
    found = list(search_plans(preset("exact", STEPS), fidelity, cost, 17.0))
    costs = [each.cost for each in found]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == len(costs)
    assert all(each.fidelity >= 17.0 for each in found)
    assert all((each.fidelity, each.cost) == (fidelity(each.plan), cost(each.plan)) for each in found)


def test_search_drops_the_least_important_steps_first() -> None:
    *_, last = search_plans(preset("exact", STEPS), fidelity, cost, 17.0)
    assert last.plan.keys[:3] == (0, 1, 2)
    assert any(segment.following_guidance == "reuse" for segment in last.plan.segments)


def test_search_forecasts_only_on_request() -> None:
    for asked in (False, True):
        *_, last = search_plans(preset("exact", STEPS), fidelity, cost, 17.0, forecast=asked)
        assert all(bool(segment.forecast) == asked for segment in last.plan.segments if segment.following)


def test_search_with_a_lower_floor_is_at_least_as_cheap() -> None:
    ends = [
        list(search_plans(preset("exact", STEPS), fidelity, cost, floor))[-1].cost
        for floor in (18.0, 15.0, 5.0)
    ]
    assert ends == sorted(ends, reverse=True)
    cheapest = list(search_plans(preset("exact", STEPS), fidelity, cost, -1e9))[-1]
    assert len(cheapest.plan.segments) == 1


def test_search_yields_nothing_if_no_fidelity_may_be_lost() -> None:
    assert list(search_plans(preset("exact", STEPS), fidelity, cost, 20.5)) == []


@pytest.mark.parametrize("cut", ["shallow", "decoder"])
def test_search_never_forecasts_with_other_cuts(cut: str) -> None:
    plan = preset("exact", STEPS)
    plan = replace(plan, segments=tuple(replace(segment, cut=cut) for segment in plan.segments))
    *_, last = search_plans(plan, fidelity, cost, 17.0, forecast=True)
    assert not any(segment.forecast for segment in last.plan.segments)
