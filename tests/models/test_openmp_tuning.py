"""OpenMP threads yield their cores while they wait, beside other programs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lipstream_models.device.openmp_tuning import SPIN_COUNT, tune_openmp


@pytest.mark.parametrize(
    ("variables", "spin_count"),
    [({}, SPIN_COUNT), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_wait_briefly_unless_the_environment_sets_a_policy(
    variables: dict[str, str], spin_count: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tune_openmp()
    assert os.environ.get("GOMP_SPINCOUNT") == spin_count
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)


def test_tuning_comes_before_the_library_that_reads_it(tmp_path: Path) -> None:
    """OMP_DISPLAY_ENV makes libgomp print what it read; PyTorch's is loaded with a command's own imports."""
    environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}
    environment.pop("GOMP_SPINCOUNT", None)
    words = ["render", "no.jpg", "no.wav", "-o", tmp_path / "x.mp4", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "lipstream_client", *words],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert f"GOMP_SPINCOUNT = '{SPIN_COUNT}'" in done.stderr
