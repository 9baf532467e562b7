"""Window planner with a model slower than real time, frame by frame, with windows that take their time."""

import pytest

from lipstream_server.config.settings import WindowSettings
from lipstream_server.sessions.window_planner import Progress, WindowPlanner

FPS, SAMPLES_PER_FRAME, AUDIO_AHEAD_FRAMES = 25, 640, 28
COSTS = {4: 0.2, 8: 0.31, 16: 0.55}  # seconds


def frames_in_time(slowdown: float, ended: bool, total: int = 300) -> int:
    """Return how many of `total` frames are ready in time; audio arrives AUDIO_AHEAD_FRAMES before it is due."""
    planner = WindowPlanner(
        WindowSettings(), FPS, lambda n: n * SAMPLES_PER_FRAME, lambda n: COSTS[n] * slowdown
    )
    requested, in_time = 4, 4
    pending: tuple[float, range] | None = None
    for sent in range(total):
        if pending is not None and pending[0] <= sent:
            window = pending[1]
            in_time += max(0, min(window.stop, total) - max(window.start, sent))
            pending = None
        if pending is not None:
            continue
        received = total if ended else min(total, sent + AUDIO_AHEAD_FRAMES)
        progress = Progress(received * SAMPLES_PER_FRAME, total if ended else None, requested, sent, True)
        next_window = planner.next_window(progress)
        if next_window is not None:
            requested = next_window.stop
            pending = (sent + COSTS[len(next_window)] * slowdown * FPS, next_window)
    return in_time


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(("slowdown", "at_least"), [(0.8, 290), (1.5, 170), (2.0, 120), (3.0, 60)])
def test_planner_shows_most_frames_of_a_slow_model(slowdown: float, at_least: int, ended: bool) -> None:
    assert frames_in_time(slowdown, ended) >= at_least
