"""Twice kill -9 under a load of clips, and nothing that was accepted is lost.

`python -m lipstream_bench.reliability.crashes` does it 20 times.
"""

from pathlib import Path

import pytest

from lipstream_bench.reliability.crashes import crash


@pytest.mark.slow
def test_nothing_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    outcome = crash(2, 1, tmp_path)
    print(outcome)
    assert outcome.good, str(outcome)
    assert outcome.accepted > 0
