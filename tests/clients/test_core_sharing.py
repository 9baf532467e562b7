"""Who runs Lipstream beside other programs: its threads give their cores away while they wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lipstream_client.core_sharing import SPINS, share_cores


@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_wait_briefly_unless_the_user_says_how(said: dict[str, str], spins: str | None) -> None:
    environment = dict(said)
    share_cores(environment)
    assert environment.get("GOMP_SPINCOUNT") == spins


def test_it_is_said_before_the_library_that_reads_it_is_loaded(tmp_path: Path) -> None:
    """OMP_DISPLAY_ENV makes libgomp print what it read; PyTorch's is loaded with a command's own imports."""
    environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}
    environment.pop("GOMP_SPINCOUNT", None)
    words = ["render", "no.jpg", "no.wav", "-o", tmp_path / "x.mp4"]
    done = subprocess.run(
        [sys.executable, "-m", "lipstream_client", *words],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert f"GOMP_SPINCOUNT = '{SPINS}'" in done.stderr
