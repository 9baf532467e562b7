"""Tests of the search for a server's capacity and of the count of admitted sessions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_bench.live.load import (
    LoadReport,
    count_admissions,
    is_in_time,
    load_table,
    plot_load,
    search_capacity,
)
from lipstream_bench.live.overhead import Overhead
from lipstream_bench.live.server_process import serving
from lipstream_server.commands.demo import free_port


@given(st.integers(0, 64), st.integers(1, 64))
def test_search_finds_the_capacity_in_few_steps(capacity: int, maximum: int) -> None:
    tried: list[int] = []

    def succeeds(sessions: int) -> bool:
        tried.append(sessions)
        return sessions <= capacity

    assert search_capacity(succeeds, maximum) == min(capacity, maximum)
    assert len(tried) == len(set(tried)) <= 14


def step(sessions: int, late: int = 0, lateness: float = 5.0, skipped: float = 0.0) -> Overhead:
    return Overhead(sessions, "fmp4", 30.0, {"p50": 1.0, "p99": lateness}, late, 700, {}, skipped, 1.0, 900.0)


def test_step_is_in_time_up_to_one_frame_of_lateness_at_p99() -> None:
    assert is_in_time(step(1, late=7))
    assert not is_in_time(step(1, late=8))
    assert not is_in_time(step(1, lateness=41.0))
    assert not is_in_time(step(1, skipped=100.0))


def test_load_report_becomes_a_table_and_a_plot(tmp_path: Path) -> None:
    report = LoadReport(2, 2, 4, 2, [step(1), step(2), step(4, late=200, lateness=90.0)])
    assert report.exact
    text = load_table(report)
    assert [line.count("in time |") for line in text.splitlines()[2:5]] == [1, 1, 0]
    plot_load(report, tmp_path / "load.png")
    assert (tmp_path / "load.png").stat().st_size > 5000


@pytest.mark.slow
async def test_server_refuses_sessions_beyond_its_limit() -> None:
    with serving(["--stub", "--max-sessions", "3"], free_port(8780)) as server:
        assert await count_admissions(server) == (3, 5, 2)
