"""A model that does not keep up shows what it can: the planner alone, frame by frame, with windows that take their time."""

import pytest

from lipstream_server.sessions.window_planner import Planner, Progress, WindowSettings

FPS, PER_FRAME, AHEAD = 25, 640, 28
COSTS = {4: 0.2, 8: 0.31, 16: 0.55}  # seconds


def shown(slower: float, ended: bool, total: int = 300) -> int:
    """Frames that come in time while `total` are shown. The client is heard AHEAD frames before its turn."""
    planner = Planner(WindowSettings(), FPS, lambda n: n * PER_FRAME, lambda n: COSTS[n] * slower)
    requested, in_time = 4, 4
    coming: tuple[float, int, int] | None = None
    for sent in range(total):
        if coming is not None and coming[0] <= sent:
            _, start, length = coming
            in_time += max(0, min(start + length, total) - max(start, sent))
            coming = None
        heard = total if ended else min(total, sent + AHEAD)
        known = total if ended else None
        window = (
            planner.next(Progress(heard * PER_FRAME, known, requested, sent, True))
            if coming is None
            else None
        )
        if window is not None:
            requested = window.start + window.frames
            coming = (sent + COSTS[window.frames] * slower * FPS, window.start, window.frames)
    return in_time


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize(("slower", "least"), [(0.8, 290), (1.5, 170), (2.0, 120), (3.0, 60)])
def test_most_of_what_a_slow_model_makes_is_shown(slower: float, least: int, ended: bool) -> None:
    assert shown(slower, ended) >= least
