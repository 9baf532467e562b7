"""Whether the server lives, and whether it would take another session; each in a word and a reason."""

from __future__ import annotations

from typing import Literal

from ..observability.drain import Drain
from ..sessions.service import Service, unready

Readiness = Literal["ready", "loading", "restarting", "lost", "draining", "stuck", "full"]
_USUAL = 5  # a window that takes so many times what one of its length takes lately may be stuck; on a slow device that is long


def unhealthy(service: Service | None, now: float) -> str | None:
    """Why the device loop is dead, or None. A service that is warming up may take its time: kernels are compiled then.
    So may an engine that is being brought back, and one that ends by itself what takes too long is given time to do so.
    """
    if service is None:
        return None
    if service.engine.health.state == "lost":
        return unready(service)[1]
    if not service.running:
        return "the task that makes windows, or the one that looks after the engine, has ended"
    scheduler = service.scheduler
    work = scheduler.work
    if work is None or not service.ready:
        return None
    usual = _USUAL * scheduler.cost(work.frames)
    took, bound = (
        now - work.since,
        service.engine.patience + max(service.settings.hang_timeout_seconds, usual),
    )
    return f"a window has been in work for {took:.0f} s, of at most {bound:.0f}" if took > bound else None


def readiness(service: Service | None, drain: Drain, now: float) -> tuple[Readiness, str]:
    """The word and the reason."""
    if drain.begun:
        return "draining", "the server is stopping"
    if service is None or not service.ready:
        return unready(service)
    if (why := unhealthy(service, now)) is not None:
        return "stuck", why
    if service.full:
        return "full", f"all {service.limit} sessions are taken"
    return "ready", f"{service.sessions} of {service.limit} sessions are taken"
