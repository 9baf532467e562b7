"""Clips are made in the gaps that live sessions leave."""

import pytest

from lipstream_server.scheduling.background_admission import REQUEUE_GRACE_S, BackgroundAdmission

NOW = 100.0


def gaps(cost: float = 0.2) -> BackgroundAdmission:
    """Windows of the background have been made just now, and take so long."""
    made = BackgroundAdmission()
    made.background(NOW, cost)
    return made


def test_nothing_waits_where_no_session_speaks() -> None:
    assert gaps().wait(NOW) == 0


def test_a_session_has_a_moment_to_ask_again() -> None:
    busy = gaps()
    busy.session(NOW, deadline=NOW + 10, seconds=0.32, cost=0.1)
    assert busy.wait(NOW) == pytest.approx(REQUEUE_GRACE_S)
    assert busy.wait(NOW + REQUEUE_GRACE_S) == 0


def test_what_would_end_too_late_waits_until_the_session_has_asked() -> None:
    busy = gaps(cost=0.2)
    # Its next window is due 0.35 s from now and takes 0.2: begun in 0.15 s.
    busy.session(NOW, deadline=NOW + 0.03, seconds=0.32, cost=0.2)
    assert busy.wait(NOW + 0.06) == pytest.approx(0.15 + REQUEUE_GRACE_S - 0.06)


def test_what_ends_before_does_not_wait() -> None:
    busy = gaps(cost=0.05)
    busy.session(NOW, deadline=NOW + 0.03, seconds=0.32, cost=0.2)
    assert busy.wait(NOW + 0.06) == 0


def test_a_session_that_does_not_ask_is_no_longer_waited_for() -> None:
    busy = gaps(cost=0.2)
    busy.session(NOW, deadline=NOW + 0.03, seconds=0.32, cost=0.2)
    assert busy.wait(NOW + 0.15 + REQUEUE_GRACE_S) == 0


def test_of_several_sessions_the_last_that_is_in_the_way_counts() -> None:
    busy = gaps(cost=0.3)
    for deadline in (0.05, 0.1, 5.0):
        busy.session(NOW, deadline=NOW + deadline, seconds=0.32, cost=0.2)
    assert busy.wait(NOW + 0.1) == pytest.approx(0.1 + 0.32 - 0.2 + REQUEUE_GRACE_S - 0.1)


def test_beside_a_session_that_never_pauses_a_clip_gets_on_slowly() -> None:
    busy = BackgroundAdmission(patience=10.0)
    busy.background(NOW, 0.2)
    made, now = 0, NOW
    while now < NOW + 100:
        busy.session(now, deadline=now + 0.05, seconds=0.16, cost=0.1)
        if busy.wait(now + REQUEUE_GRACE_S) == 0:
            busy.background(now + REQUEUE_GRACE_S + 0.2, 0.2)
            made += 1
        now += 0.16
    assert 8 <= made <= 10
