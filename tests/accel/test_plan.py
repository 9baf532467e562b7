"""Plans: validated on creation, unchanged by a JSON round trip, printable."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipstream_accel.plan import Plan, Segment
from lipstream_accel.plan_json import plan_from_json, plan_to_json
from lipstream_accel.plan_text import describe_plan
from lipstream_accel.presets import PRESETS, key_steps, preset
from lipstream_accel.rules import PlanError


@settings(deadline=None)
@given(st.sampled_from(PRESETS), st.integers(1, 120))
def test_presets_are_valid_for_any_number_of_steps(name: str, steps: int) -> None:
    plan = preset(name, steps)
    assert (plan.name, plan.steps, plan.keys[0]) == (name, steps, 0)
    assert len(plan.keys) + sum(segment.following for segment in plan.segments) == steps
    assert plan_from_json(plan_to_json(plan)) == plan


@pytest.mark.parametrize("name", ["deepcache", "fasterdiffusion", "lightningcp", "lightningcp-dfa", "paper"])
def test_presets_of_the_paper_share_their_key_steps(name: str) -> None:
    assert preset(name, 40).keys == (0, 1, 2, 3, 4, 9, 14, 19, 24, 29, 34)
    assert preset(name, 40).keys == preset("paper", 40).keys
    assert len(preset(name, 20).keys) == 5


def test_presets_have_their_documented_fields() -> None:
    paper = preset("paper", 40)
    assert paper.estimate_from == 10
    assert paper.needs_foreground
    assert len(paper.without_reference) == 1
    assert not preset("base", 40).project_once
    assert all(preset(name, 40).project_once for name in PRESETS if name != "base")
    assert preset("exact", 7).segments == preset("base", 7).segments
    assert paper.as_released().with_conditions_projected_once() == paper
    assert not any(preset(name, 40).forecasts for name in PRESETS)
    assert [s.guidance for s in preset("realtime", 40).segments].count("evaluate") == 4


@given(st.integers(1, 400), st.integers(1, 40))
def test_key_steps_are_distinct_and_sorted(steps: int, of_40: int) -> None:
    keys = key_steps(steps, of_40)
    assert list(keys) == sorted(set(keys))
    assert keys[0] == 0
    assert keys[-1] < steps
    assert len(keys) == max(1, steps * of_40 // 40)


GOOD = Plan.from_keys("good", 6, (0, 3))


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("key step first", {"segments": ()}),
        ("key step first", {"segments": (Segment(2, 3),)}),
        ("steps add up", {"steps": 7}),
        ("steps add up", {"segments": (Segment(0, 1), Segment(3, 2))}),
        ("steps add up", {"segments": (Segment(0, -1), Segment(0, 5))}),
        ("threshold in range", {"estimate_from": 7}),
        ("threshold in range", {"estimate_from": -1}),
        ("known cut and guidance", {"segments": (Segment(0, 5, cut="tail"),)}),
        ("known cut and guidance", {"segments": (Segment(0, 5, guidance="halve"),)}),
        ("guidance evaluated before reused", {"segments": (Segment(0, 5, guidance="reuse"),)}),
        (
            "guidance evaluated before reused",
            {"segments": (Segment(0, 5, guidance="skip", following_guidance="reuse"),)},
        ),
        ("both branches cached", {"segments": (Segment(0), Segment(1, 4, guidance="reuse"))}),
        (
            "foreground and forecast need the head",
            {"segments": (Segment(0, 5, cut="shallow", forecast=1),)},
        ),
        (
            "foreground and forecast need the head",
            {"segments": (Segment(0, 5, cut="decoder", foreground=True),)},
        ),
        ("forecast of order 0 or 1", {"segments": (Segment(0, 5, forecast=2),)}),
        ("layers named once", {"without_reference": ("a", "a")}),
    ],
)
def test_invalid_plan_error_names_the_broken_rule(rule: str, changes: dict) -> None:
    with pytest.raises(PlanError, match=f"plan 'good' breaks the rule '{rule}'") as refused:
        replace(GOOD, **changes)
    assert refused.value.rule == rule


@pytest.mark.parametrize(
    "broken",
    [
        "no json",
        "[]",
        json.dumps({"name": "x", "steps": 1}),
        json.dumps({"name": "x", "steps": 1, "segments": [{"key": 0, "colour": 1}]}),
        json.dumps({"name": "x", "steps": True, "segments": [{"key": 0}]}),
        json.dumps({"name": "x", "steps": 1, "segments": [3]}),
        json.dumps({"name": "x", "steps": 1, "segments": [{"key": 0}], "without_reference": [3]}),
    ],
)
def test_plan_json_with_errors_is_refused(broken: str) -> None:
    with pytest.raises(PlanError, match="JSON of a plan"):
        plan_from_json(broken)


def test_plan_json_fields_default_when_omitted() -> None:
    text = '{"name": "x", "steps": 3, "segments": [{"key": 0, "following": 2}]}'
    assert plan_from_json(text) == Plan.from_keys("x", 3, (0,))


def test_plan_description_lists_its_segments() -> None:
    assert describe_plan(preset("base", 40)) == (
        "base: 40 steps, 40 of them key steps; conditions projected at every step, as released"
    )
    words = describe_plan(preset("paper", 40))
    assert "11 of them key steps" in words
    assert "without reference tokens: down_blocks.0.0" in words
    assert "key  34  guidance evaluate then 35-39: in one batch, U_32 on f_U31" in words
    assert "inside the face" in words
    assert "one by one, D_00, U_31, U_32" in describe_plan(preset("deepcache", 40))
