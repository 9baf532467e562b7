"""How the bench finds the number of sessions that a server holds, and how it sees where the server refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_bench.live.load import (
    Load,
    draw,
    good,
    knock,
    search,
    table,
)
from lipstream_bench.live.overhead import Overhead
from lipstream_bench.live.server_process import serving
from lipstream_server.commands.demo import free_port


@given(st.integers(0, 64), st.integers(1, 64))
def test_the_largest_number_that_holds_is_found_in_few_steps(holds: int, most: int) -> None:
    asked: list[int] = []

    def measure(sessions: int) -> bool:
        asked.append(sessions)
        return sessions <= holds

    assert search(measure, most) == min(holds, most)
    assert len(asked) == len(set(asked)) <= 14


def step(sessions: int, late: int = 0, lateness: float = 5.0, skipped: float = 0.0) -> Overhead:
    return Overhead(sessions, "fmp4", 30.0, {"p50": 1.0, "p99": lateness}, late, 700, {}, skipped, 1.0, 900.0)


def test_a_server_holds_what_is_at_most_one_frame_late_at_p99() -> None:
    assert good(step(1, late=7))
    assert not good(step(1, late=8))
    assert not good(step(1, lateness=41.0))
    assert not good(step(1, skipped=100.0))


def test_the_figures_are_a_table_and_a_plot(tmp_path) -> None:
    found = Load(2, 2, 4, 2, [step(1), step(2), step(4, late=200, lateness=90.0)])
    assert found.exact
    said = table(found)
    assert [line.count("holds |") for line in said.splitlines()[2:5]] == [1, 1, 0]
    draw(found, tmp_path / "load.png")
    assert (tmp_path / "load.png").stat().st_size > 5000


@pytest.mark.slow
async def test_refusals_begin_where_the_places_end() -> None:
    with serving(["--stub", "--max-sessions", "3"], free_port(8780)) as server:
        assert await knock(server) == (3, 5, 2)
