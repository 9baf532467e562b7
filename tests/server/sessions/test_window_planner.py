"""Window planner: which window is requested when."""

import pytest

from lipstream_server.config.settings import WindowSettings
from lipstream_server.sessions.window_planner import Progress, WindowPlanner

FPS, SAMPLES_PER_FRAME = 25, 640


def planner_with_costs(costs: dict[int, float], prefetch_cost: float = 0.0) -> WindowPlanner:
    return WindowPlanner(
        WindowSettings(),
        FPS,
        lambda frames: frames * SAMPLES_PER_FRAME,
        costs.__getitem__,
        lambda: prefetch_cost,
    )


def progress(
    audio_frames: int, total_frames: int | None, requested: int, sent: int, started: bool
) -> Progress:
    return Progress(audio_frames * SAMPLES_PER_FRAME, total_frames, requested, sent, started)


def test_sustainable_length_is_the_shortest_that_keeps_up() -> None:
    costs = {4: 0.2, 8: 0.22, 16: 0.3}
    assert planner_with_costs(costs).sustainable_length == 8
    assert planner_with_costs(costs, prefetch_cost=0.1).sustainable_length == 16


def test_windows_grow_where_short_ones_do_not_keep_up() -> None:
    planner = planner_with_costs({4: 0.2, 8: 0.22, 16: 0.3})
    assert planner.next_window(progress(0, None, 0, 0, False)) is None
    assert planner.next_window(progress(4, None, 0, 0, False)) == range(4)
    assert planner.next_window(progress(60, None, 4, 0, False)) == range(4, 20)
    assert planner.next_window(progress(60, None, 40, 2, True)) is None  # enough frames are requested
    assert (
        planner.next_window(progress(10, 12, 10, 9, True)) is None
    )  # the last frames would be ready too late


def test_window_lengths_must_rise() -> None:
    with pytest.raises(ValueError, match="positive and rise"):
        WindowSettings(lengths=(8, 4))


def test_windows_too_short_to_keep_up_are_requested_at_the_last_moment() -> None:
    planner = planner_with_costs({4: 0.2, 8: 0.25, 16: 0.4})
    assert planner.sustainable_length == 8
    # Before playback it waits for 8 frames.
    assert planner.next_window(progress(8, None, 4, 0, False)) is None
    assert planner.next_window(progress(12, None, 4, 0, False)) == range(4, 12)
    # During playback 280 ms of frames are left, then 200 ms.
    assert planner.next_window(progress(24, None, 20, 13, True)) is None
    assert planner.next_window(progress(24, None, 20, 15, True)) == range(20, 24)


def test_short_windows_are_requested_where_the_first_frame_would_wait_too_long() -> None:
    planner = planner_with_costs({4: 0.5, 8: 0.6, 16: 0.6})
    assert planner.sustainable_length == 16
    assert planner.next_window(progress(8, None, 4, 0, False)) == range(4, 8)
    assert planner.next_window(progress(12, None, 4, 0, False)) == range(4, 12)
