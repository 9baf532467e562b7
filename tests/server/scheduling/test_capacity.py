"""How many sessions share a device, and what that does to their windows."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_server import get, running

from lipstream_server.config.settings import ServerSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.scheduling.capacity import MAX_SESSIONS, CapacityModel
from lipstream_server.sessions.service import Service, silent_window
from lipstream_server.sessions.window_planner import WindowSettings
from lipstream_server.storage.storage import Storage

SECONDS = st.floats(0.0, 2.0)


def test_a_session_alone_has_a_window_in_the_time_that_one_takes() -> None:
    assert CapacityModel(0.09, 0.16, 8).round(1) == 0.09


def test_two_sessions_are_not_in_step_so_each_may_wait_for_the_other() -> None:
    assert CapacityModel(0.09, 0.16, 8).round(2) == pytest.approx(0.18)


def test_more_windows_than_a_batch_holds_take_more_batches() -> None:
    """One costs 20 ms to begin and 10 ms a window."""
    sharing = CapacityModel(0.03, 0.04, 4)
    assert sharing.round(8) == pytest.approx(2 * 0.02 + 8 * 0.01)
    assert sharing.round(9) == pytest.approx(3 * 0.02 + 9 * 0.01)


@pytest.mark.parametrize(
    ("one", "two", "sessions"),
    [(0.089, 0.161, 1), (0.060, 0.110, 2), (0.031, 0.036, 13), (2.0, 3.0, 1), (0.0, 0.0, MAX_SESSIONS)],
)
def test_as_many_sessions_as_a_round_of_them_fits(one: float, two: float, sessions: int) -> None:
    """Three quarters of the 160 ms that four frames last."""
    assert CapacityModel(one, two, 8).most_sessions(0.12) == sessions


@given(SECONDS, SECONDS, st.integers(1, 16), SECONDS)
def test_the_limit_is_where_a_round_no_longer_fits(one: float, two: float, most: int, budget: float) -> None:
    sharing = CapacityModel(one, two, most)
    limit = sharing.most_sessions(budget)
    assert limit == 1 or sharing.round(limit) <= budget
    assert limit == MAX_SESSIONS or sharing.round(limit + 1) > budget


@given(SECONDS, SECONDS, st.integers(1, 16), st.integers(1, MAX_SESSIONS))
def test_another_session_never_makes_windows_faster(one: float, two: float, most: int, sessions: int) -> None:
    sharing = CapacityModel(one, two, most)
    assert 1.0 <= sharing.slower(sessions) <= sharing.slower(sessions + 1)


@pytest.mark.parametrize(("seconds", "sessions"), [(0.09, 1), (0.04, 16)])
async def test_a_server_counts_its_places_in_windows_that_sessions_begin_with(
    seconds: float, sessions: int
) -> None:
    """Of 4 frames, though two that share a device would fit with 16: windows of this engine cost what they cost, however many
    frames and sessions they have."""
    settings = ServerSettings(windows=WindowSettings(lengths=(4, 16)))
    async with running(StubEngine(seconds_per_window=seconds), settings) as address:
        assert (await get(address, "/readyz"))[0] == 200
        assert f"lipstream_sessions_limit {sessions}.0" in (await get(address, "/metrics"))[2]


@asynccontextmanager
async def warm(settings: ServerSettings, folder: Path) -> AsyncIterator[Service]:
    """Windows cost 50 ms, in whatever batch; four frames last 160."""
    async with (
        Storage(folder) as storage,
        Service(StubEngine(seconds_per_window=0.05), settings, storage) as service,
    ):
        await service.warm_up()
        yield service


def costs(service: Service, sessions: int) -> list[int]:
    """Of a window, with no session, one, two ... open, in windows of one that is alone."""
    found: list[int] = []
    with ExitStack() as places:
        for _ in range(sessions + 1):
            found.append(round(service.cost(4) / 0.05))
            places.enter_context(service.place())
    return found


FOUR = WindowSettings(lengths=(4,))


async def test_who_is_alone_counts_on_one_more_that_may_come(tmp_path: Path) -> None:
    async with warm(ServerSettings(windows=FOUR), tmp_path) as service:
        assert service.limit > 2
        assert costs(service, 2) == [1, 2, 2]


async def test_who_must_stay_alone_counts_on_nobody(tmp_path: Path) -> None:
    async with warm(ServerSettings(windows=FOUR, load=0.4), tmp_path) as service:
        assert service.limit == 1
        assert costs(service, 0) == [1]


async def test_a_machine_that_was_busy_at_warm_up_is_not_held_against_who_is_alone(tmp_path: Path) -> None:
    async with warm(ServerSettings(windows=FOUR, load=0.4), tmp_path) as service:
        service.engine.seconds_per_window = 0.0  # type: ignore[attr-defined]
        request = silent_window(service.engine, await service.open(None, None), 4)
        for _ in range(5):
            await service.scheduler.generate(request, 0.0)
        assert service.cost(4) < 0.04


async def test_a_number_set_by_hand_is_no_reason_to_wait_for_others(tmp_path: Path) -> None:
    async with warm(ServerSettings(windows=FOUR, sessions=6), tmp_path) as service:
        assert costs(service, 2) == [1, 1, 2]
