"""Admission of background (clip) windows beside live sessions."""

import pytest

from lipstream_server.scheduling.background_admission import REQUEUE_GRACE_S, BackgroundAdmission

NOW = 100.0


def admission_with_cost(cost: float = 0.2) -> BackgroundAdmission:
    """Return an admission that has just recorded a background window of this duration."""
    admission = BackgroundAdmission()
    admission.record_background_window(NOW, cost)
    return admission


def test_background_windows_do_not_wait_without_sessions() -> None:
    assert admission_with_cost().seconds_to_wait(NOW) == 0


def test_background_windows_wait_for_the_requeue_grace_of_a_session() -> None:
    admission = admission_with_cost()
    admission.record_session_window(NOW, deadline=NOW + 10, media_seconds=0.32, cost=0.1)
    assert admission.seconds_to_wait(NOW) == pytest.approx(REQUEUE_GRACE_S)
    assert admission.seconds_to_wait(NOW + REQUEUE_GRACE_S) == 0


def test_background_windows_that_would_end_too_late_wait_for_the_sessions_request() -> None:
    admission = admission_with_cost(cost=0.2)
    # The session's next window is due 0.35 s from now and takes 0.2 s: it must start in 0.15 s.
    admission.record_session_window(NOW, deadline=NOW + 0.03, media_seconds=0.32, cost=0.2)
    assert admission.seconds_to_wait(NOW + 0.06) == pytest.approx(0.15 + REQUEUE_GRACE_S - 0.06)


def test_background_windows_that_end_in_time_do_not_wait() -> None:
    admission = admission_with_cost(cost=0.05)
    admission.record_session_window(NOW, deadline=NOW + 0.03, media_seconds=0.32, cost=0.2)
    assert admission.seconds_to_wait(NOW + 0.06) == 0


def test_background_windows_do_not_wait_for_a_session_that_requests_nothing() -> None:
    admission = admission_with_cost(cost=0.2)
    admission.record_session_window(NOW, deadline=NOW + 0.03, media_seconds=0.32, cost=0.2)
    assert admission.seconds_to_wait(NOW + 0.15 + REQUEUE_GRACE_S) == 0


def test_background_windows_wait_for_the_last_conflicting_session() -> None:
    admission = admission_with_cost(cost=0.3)
    for deadline in (0.05, 0.1, 5.0):
        admission.record_session_window(NOW, deadline=NOW + deadline, media_seconds=0.32, cost=0.2)
    assert admission.seconds_to_wait(NOW + 0.1) == pytest.approx(0.1 + 0.32 - 0.2 + REQUEUE_GRACE_S - 0.1)


def test_background_windows_are_not_starved_by_a_session_without_pauses() -> None:
    admission = BackgroundAdmission(max_starvation_s=10.0)
    admission.record_background_window(NOW, 0.2)
    admitted, now = 0, NOW
    while now < NOW + 100:
        admission.record_session_window(now, deadline=now + 0.05, media_seconds=0.16, cost=0.1)
        if admission.seconds_to_wait(now + REQUEUE_GRACE_S) == 0:
            admission.record_background_window(now + REQUEUE_GRACE_S + 0.2, 0.2)
            admitted += 1
        now += 0.16
    assert 8 <= admitted <= 10
