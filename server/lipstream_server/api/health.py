"""EngineHealth of the server: whether it is alive, and whether it would accept another session."""

from __future__ import annotations

from typing import Literal

from ..observability.drain import Drain
from ..sessions.service import Service, unready_reason

Readiness = Literal["ready", "loading", "restarting", "lost", "draining", "stuck", "full"]
_STUCK_FACTOR = 5  # a window that takes this many times its usual cost may be stuck; long on a slow device


def unhealthy_reason(service: Service | None, now: float) -> str | None:
    """Return why the device loop is dead; None where it is alive.

    A service that warms up may take its time, as kernels are compiled then. So may an engine that is being brought
    back; one that ends calls by itself, which take too long, is given the time to do so.
    """
    if service is None:
        return None
    if service.engine_health.state == "lost":
        return unready_reason(service)[1]
    if not service.is_alive:
        return "the task that generates windows, or the one that checks the engine, has ended"
    scheduler = service.scheduler
    work = scheduler.running_batch
    if work is None or not service.is_ready:
        return None
    usual = _STUCK_FACTOR * scheduler.costs.window_cost(work.frames)
    duration = now - work.started_at
    limit = service.engine.call_timeout + max(service.settings.hang_timeout_seconds, usual)
    return (
        f"a window has been in work for {duration:.0f} s, of at most {limit:.0f}"
        if duration > limit
        else None
    )


def readiness(service: Service | None, drain: Drain, now: float) -> tuple[Readiness, str]:
    """Return whether another session would be accepted: one word, and the reason."""
    if drain.has_started:
        return "draining", "the server is stopping"
    if service is None or not service.is_ready:
        return unready_reason(service)
    if (reason := unhealthy_reason(service, now)) is not None:
        return "stuck", reason
    if service.limiter.is_full:
        return "full", f"all {service.limiter.limit} sessions are taken"
    return "ready", f"{service.limiter.active} of {service.limiter.limit} sessions are taken"
