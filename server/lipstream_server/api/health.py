"""Whether the server lives, and whether it would take another session; each in a word and a reason."""

from __future__ import annotations

from typing import Literal

from ..observability.drain import Drain
from ..sessions.service import Service, unready_reason

Readiness = Literal["ready", "loading", "restarting", "lost", "draining", "stuck", "full"]
_USUAL = 5  # a window that takes so many times what one of its length takes lately may be stuck; on a slow device that is long


def unhealthy(service: Service | None, now: float) -> str | None:
    """Why the device loop is dead, or None. A service that is warming up may take its time: kernels are compiled then.
    So may an engine that is being brought back, and one that ends by itself what takes too long is given time to do so.
    """
    if service is None:
        return None
    if service.engine_health.state == "lost":
        return unready_reason(service)[1]
    if not service.is_alive:
        return "the task that makes windows, or the one that looks after the engine, has ended"
    scheduler = service.scheduler
    work = scheduler.running_batch
    if work is None or not service.is_ready:
        return None
    usual = _USUAL * scheduler.costs.window_cost(work.frames)
    took, bound = (
        now - work.started_at,
        service.engine.patience + max(service.settings.hang_timeout_seconds, usual),
    )
    return f"a window has been in work for {took:.0f} s, of at most {bound:.0f}" if took > bound else None


def readiness(service: Service | None, drain: Drain, now: float) -> tuple[Readiness, str]:
    """The word and the reason."""
    if drain.has_started:
        return "draining", "the server is stopping"
    if service is None or not service.is_ready:
        return unready_reason(service)
    if (why := unhealthy(service, now)) is not None:
        return "stuck", why
    if service.limiter.is_full:
        return "full", f"all {service.limiter.limit} sessions are taken"
    return "ready", f"{service.limiter.active} of {service.limiter.limit} sessions are taken"
