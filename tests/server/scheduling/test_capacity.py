"""Capacity of a device: the model of cycle times, the measured session limit, and expected window costs."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_server import get, running

from lipstream_server.config.settings import ServerSettings, WindowSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.scheduling.batches import WindowJob
from lipstream_server.scheduling.capacity import MAX_SESSIONS, CapacityModel
from lipstream_server.sessions.service import Service
from lipstream_server.sessions.warmup import silent_window
from lipstream_server.storage.storage import Storage

SECONDS = st.floats(0.0, 2.0)


def test_cycle_time_of_one_session_is_the_duration_of_a_window() -> None:
    assert CapacityModel(0.09, 0.16, 8).cycle_time(1) == 0.09


def test_cycle_time_of_two_sessions_is_two_batches_because_they_are_not_in_step() -> None:
    assert CapacityModel(0.09, 0.16, 8).cycle_time(2) == pytest.approx(0.18)


def test_cycle_time_grows_with_the_number_of_batches() -> None:
    """A batch has a fixed cost of 20 ms and 10 ms for each window."""
    model = CapacityModel(0.03, 0.04, 4)
    assert model.cycle_time(8) == pytest.approx(2 * 0.02 + 8 * 0.01)
    assert model.cycle_time(9) == pytest.approx(3 * 0.02 + 9 * 0.01)


@pytest.mark.parametrize(
    ("single", "pair", "sessions"),
    [(0.089, 0.161, 1), (0.060, 0.110, 2), (0.031, 0.036, 13), (2.0, 3.0, 1), (0.0, 0.0, MAX_SESSIONS)],
)
def test_max_sessions_is_the_most_whose_cycle_fits_the_budget(
    single: float, pair: float, sessions: int
) -> None:
    """The budget is 75 % of the 160 ms that four frames last."""
    assert CapacityModel(single, pair, 8).max_sessions(0.12) == sessions


@given(SECONDS, SECONDS, st.integers(1, 16), SECONDS)
def test_max_sessions_fit_the_budget_and_one_more_does_not(
    single: float, pair: float, max_batch: int, budget: float
) -> None:
    model = CapacityModel(single, pair, max_batch)
    limit = model.max_sessions(budget)
    assert limit == 1 or model.cycle_time(limit) <= budget
    assert limit == MAX_SESSIONS or model.cycle_time(limit + 1) > budget


@given(SECONDS, SECONDS, st.integers(1, 16), st.integers(1, MAX_SESSIONS))
def test_slowdown_never_falls_with_another_session(
    single: float, pair: float, max_batch: int, sessions: int
) -> None:
    model = CapacityModel(single, pair, max_batch)
    assert 1.0 <= model.slowdown(sessions) <= model.slowdown(sessions + 1)


@pytest.mark.parametrize(("seconds", "sessions"), [(0.09, 1), (0.04, 16)])
async def test_session_limit_is_measured_with_the_windows_that_sessions_start_with(
    seconds: float, sessions: int
) -> None:
    """Windows of 4 frames count, though two sessions would fit with 16: windows of this engine have one duration."""
    settings = ServerSettings(windows=WindowSettings(lengths=(4, 16)))
    async with running(StubEngine(seconds_per_window=seconds), settings) as address:
        assert (await get(address, "/readyz"))[0] == 200
        assert f"lipstream_sessions_limit {sessions}.0" in (await get(address, "/metrics"))[2]


@asynccontextmanager
async def warm_service(settings: ServerSettings, folder: Path) -> AsyncIterator[Service]:
    """Yield a service whose batches of any size take 50 ms; four frames last 160 ms."""
    async with (
        Storage(folder) as storage,
        Service(StubEngine(seconds_per_window=0.05), settings, storage) as service,
    ):
        await service.warm_up()
        yield service


def window_costs(service: Service, sessions: int) -> list[int]:
    """Return the expected cost of a window with 0 to `sessions` active sessions, relative to a session alone."""
    found: list[int] = []
    with ExitStack() as slots:
        for _ in range(sessions + 1):
            found.append(round(service.window_cost(4) / 0.05))
            slots.enter_context(service.session_slot())
    return found


FOUR_FRAMES = WindowSettings(lengths=(4,))


async def test_window_cost_budgets_for_one_more_session_with_a_measured_limit(tmp_path: Path) -> None:
    async with warm_service(ServerSettings(windows=FOUR_FRAMES), tmp_path) as service:
        assert service.limiter.limit > 2
        assert window_costs(service, 2) == [1, 2, 2]


async def test_window_cost_budgets_for_no_other_session_with_a_limit_of_one(tmp_path: Path) -> None:
    async with warm_service(ServerSettings(windows=FOUR_FRAMES, max_device_load=0.4), tmp_path) as service:
        assert service.limiter.limit == 1
        assert window_costs(service, 0) == [1]


async def test_window_cost_of_a_single_session_follows_recent_windows_not_the_warm_up(tmp_path: Path) -> None:
    async with warm_service(ServerSettings(windows=FOUR_FRAMES, max_device_load=0.4), tmp_path) as service:
        service.engine.seconds_per_window = 0.0  # type: ignore[attr-defined]
        request = silent_window(service.engine, await service.open_stream(None, None), 4)
        for _ in range(5):
            await service.scheduler.generate(WindowJob(request, 0.0))
        assert service.window_cost(4) < 0.04


async def test_window_cost_budgets_for_active_sessions_only_with_a_configured_limit(tmp_path: Path) -> None:
    async with warm_service(ServerSettings(windows=FOUR_FRAMES, max_sessions=6), tmp_path) as service:
        assert window_costs(service, 2) == [1, 1, 2]
