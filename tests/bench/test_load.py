"""The load benchmark finds how many sessions a server sustains and where it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_bench.live.load import (
    Load,
    count_admitted,
    draw,
    is_sustained,
    search,
    table,
)
from lipstream_bench.live.overhead import Overhead
from lipstream_bench.live.server_process import serving
from lipstream_server.commands.demo import free_port


@given(st.integers(0, 64), st.integers(1, 64))
def test_search_finds_the_largest_number_in_few_steps(holds: int, limit: int) -> None:
    asked: list[int] = []

    def measure(sessions: int) -> bool:
        asked.append(sessions)
        return sessions <= holds

    assert search(measure, limit) == min(holds, limit)
    assert len(asked) == len(set(asked)) <= 14


def step(sessions: int, late: int = 0, lateness: float = 5.0, skipped: float = 0.0) -> Overhead:
    return Overhead(sessions, "fmp4", 30.0, {"p50": 1.0, "p99": lateness}, late, 700, {}, skipped, 1.0, 900.0)


def test_load_is_sustained_up_to_one_frame_late_at_p99() -> None:
    assert is_sustained(step(1, late=7))
    assert not is_sustained(step(1, late=8))
    assert not is_sustained(step(1, lateness=41.0))
    assert not is_sustained(step(1, skipped=100.0))


def test_load_has_a_table_and_a_plot(tmp_path) -> None:
    result = Load(2, 2, 4, 2, [step(1), step(2), step(4, late=200, lateness=90.0)])
    assert result.exact
    summary = table(result)
    assert [line.count("holds |") for line in summary.splitlines()[2:5]] == [1, 1, 0]
    draw(result, tmp_path / "load.png")
    assert (tmp_path / "load.png").stat().st_size > 5000


@pytest.mark.slow
async def test_server_refuses_from_the_session_limit_on() -> None:
    with serving(["--stub", "--sessions", "3"], free_port(8780)) as server:
        assert await count_admitted(server) == (3, 5, 2)
