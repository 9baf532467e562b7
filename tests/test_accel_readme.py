"""The README's code runs as it stands."""

import re
from pathlib import Path

import torch

README = Path(__file__).parents[1] / "accel" / "README.md"


def test_ten_lines_with_a_unet_of_ones_own() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.M | re.S)
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("from")]) <= 10
    names: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), names)
    fast, noise = names["fast"], names["noise"]
    assert isinstance(fast, torch.Tensor)
    assert isinstance(noise, torch.Tensor)
    assert fast.shape == noise.shape
    assert fast.isfinite().all()
