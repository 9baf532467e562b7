"""Progress is told on a terminal and in a log."""

import io

from lipstream_server.commands.progress import Pace, progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_pace_reports_throughput_and_time_left() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    assert str(pace) == "0.0 frames/s, --:-- left"
    clock.now = 10
    pace.advance(250)
    assert str(pace) == "25.0 frames/s, 0:30 left"


def test_progress_in_a_log_is_a_line_now_and_then_and_one_at_the_end() -> None:
    clock, log = Clock(), io.StringIO()
    with progress("render", 100, log, clock) as advance:
        for _ in range(10):
            clock.now += 1
            advance(10)
    assert log.getvalue().splitlines() == [
        "render: 50/100 frames, 10.0 frames/s, 0:05 left",
        "render: 100/100 frames, 10.0 frames/s, 0:00 left",
        "render: 100/100 frames, 10.0 frames/s, 0:00 left",
    ]


def test_progress_on_a_terminal_is_a_bar() -> None:
    clock, screen = Clock(), Terminal()
    with progress("render", 100, screen, clock) as advance:
        clock.now = 4
        advance(100)
    assert "100/100" in screen.getvalue()
    assert "25.0 frames/s" in screen.getvalue()
