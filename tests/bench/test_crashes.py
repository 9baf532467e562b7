"""Short crash test with two kills; `python -m lipstream_bench.reliability.crashes` does 20."""

from pathlib import Path

import pytest

from lipstream_bench.reliability.crashes import run_crash_test


@pytest.mark.slow
def test_accepted_clips_survive_kills_of_the_server(tmp_path: Path) -> None:
    report = run_crash_test(2, 1, tmp_path)
    print(report)
    assert report.passed, str(report)
    assert report.accepted > 0
