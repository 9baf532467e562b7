"""The README's code runs as it stands, one piece after the other."""

import re
from pathlib import Path

import pytest
import torch

from lipstream_accel.search import RatedPlan

README = Path(__file__).parents[2] / "accel" / "README.md"


@pytest.fixture(scope="module")
def pieces() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def names(pieces: list[str]) -> dict[str, object]:
    """Everything that the code has defined at its end."""
    defined: dict[str, object] = {}
    for piece in pieces:
        exec(compile(piece, str(README), "exec"), defined)
    return defined


def test_ten_lines_with_a_unet_of_ones_own(pieces: list[str], names: dict[str, object]) -> None:
    assert (
        len([line for line in pieces[0].splitlines() if line.strip() and not line.startswith("from")]) <= 10
    )
    fast, noise = names["fast"], names["noise"]
    assert isinstance(fast, torch.Tensor)
    assert isinstance(noise, torch.Tensor)
    assert fast.shape == noise.shape
    assert fast.isfinite().all()


def test_a_plan_is_found_for_it(names: dict[str, object]) -> None:
    found = names["found"]
    assert isinstance(found, RatedPlan)
    assert found.fidelity >= 30
    assert len(found.plan.segments) < 11
