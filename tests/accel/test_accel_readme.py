"""The code in accel/README.md runs as printed, block by block."""

import re
from pathlib import Path

import pytest
import torch

from lipstream_accel.search import RatedPlan

README = Path(__file__).parents[2] / "accel" / "README.md"


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def names(blocks: list[str]) -> dict[str, object]:
    """Names that the code blocks define."""
    defined: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), defined)
    return defined


def test_readme_samples_an_own_unet_in_ten_lines(blocks: list[str], names: dict[str, object]) -> None:
    assert (
        len([line for line in blocks[0].splitlines() if line.strip() and not line.startswith("from")]) <= 10
    )
    fast, noise = names["fast"], names["noise"]
    assert isinstance(fast, torch.Tensor)
    assert isinstance(noise, torch.Tensor)
    assert fast.shape == noise.shape
    assert fast.isfinite().all()


def test_readme_search_finds_a_plan(names: dict[str, object]) -> None:
    found = names["found"]
    assert isinstance(found, RatedPlan)
    assert found.fidelity >= 30
    assert len(found.plan.segments) < 11
