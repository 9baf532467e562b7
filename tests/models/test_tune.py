"""A plan that `lipstream tune` finds is cheaper than full sampling, stays within the budget, and can be sampled by."""

import re
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from lipstream_accel.plan_json import plan_from_json
from lipstream_accel.presets import preset
from lipstream_models.analysis.meta_models import meta_model, price_plan
from lipstream_models.bundled import load_bundled
from lipstream_models.commands.tune import tune_command
from lipstream_models.errors import LipstreamError
from lipstream_models.sampling import Sampling

STEPS = 5
SMALL = ["--steps", str(STEPS), "--frames", "2", "--portraits", "1"]


@pytest.fixture
def command() -> Typer:
    app = Typer()
    app.command()(tune_command)
    return app


def test_a_plan_is_found_written_and_can_be_sampled_by(command: Typer, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    result = CliRunner().invoke(command, [*SMALL, "--budget", "5", "--out", str(out)])
    assert result.exit_code == 0, result.output
    plan = plan_from_json(out.read_text())
    size = meta_model("bundled")
    assert price_plan(plan, size).flops < price_plan(preset("exact", STEPS), size).flops
    decibels = re.search(r"plan\.json: ([\d.]+) dB", result.output)
    assert decibels is not None
    assert float(decibels[1]) >= 5
    assert "key steps" in result.stderr
    assert Sampling.for_model(load_bundled(), str(out)).plan() == plan


def test_budget_that_allows_no_cheaper_plan_is_refused(command: Typer, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    result = CliRunner().invoke(command, [*SMALL, "--budget", "99", "--out", str(out)])
    assert isinstance(result.exception, LipstreamError)
    assert "lower --budget" in str(result.exception)
    assert not out.exists()
