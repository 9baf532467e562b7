"""Health of the server: whether it is alive, and whether it would accept another session."""

from __future__ import annotations

from typing import Literal

from ..observability.drain import Drain
from ..sessions.service import Service, unready

Readiness = Literal["ready", "loading", "restarting", "lost", "draining", "stuck", "full"]
_STUCK_FACTOR = 5  # a window that takes this many times its usual cost may be stuck; long on a slow device


def unhealthy_reason(service: Service | None, now: float) -> str | None:
    """Return why the device loop is dead; None where it is alive.

    A service that warms up may take its time, as kernels are compiled then. So may an engine that is being brought
    back; one that ends calls by itself, which take too long, is given the time to do so.
    """
    if service is None:
        return None
    if service.engine.health.state == "lost":
        return unready(service)[1]
    if not service.running:
        return "the task that generates windows, or the one that checks the engine, has ended"
    scheduler = service.scheduler
    work = scheduler.work
    if work is None or not service.ready:
        return None
    usual = _STUCK_FACTOR * scheduler.cost(work.frames)
    duration = now - work.since
    limit = service.engine.patience + max(service.settings.hang_timeout_seconds, usual)
    return (
        f"a window has been in work for {duration:.0f} s, of at most {limit:.0f}"
        if duration > limit
        else None
    )


def readiness(service: Service | None, drain: Drain, now: float) -> tuple[Readiness, str]:
    """Return whether another session would be accepted: one word, and the reason."""
    if drain.begun:
        return "draining", "the server is stopping"
    if service is None or not service.ready:
        return unready(service)
    if (reason := unhealthy_reason(service, now)) is not None:
        return "stuck", reason
    if service.full:
        return "full", f"all {service.limit} sessions are taken"
    return "ready", f"{service.sessions} of {service.limit} sessions are taken"
