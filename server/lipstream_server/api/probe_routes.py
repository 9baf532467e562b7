"""What those who run the server ask it: `/healthz`, `/readyz` and, for Prometheus, `/metrics`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from fastapi import APIRouter, Response

from ..clips.state import State
from ..clips.table import count_states
from ..observability.metrics import CONTENT_TYPE, Metrics
from ..observability.telemetry import Telemetry
from ..sessions.service import Service
from .health import readiness, unhealthy
from .runtime import Rest


def probe_routes(
    telemetry: Telemetry,
    kept: Callable[[], Rest | None],
    failure: Callable[[], Exception | None],
    retry: float,
) -> APIRouter:
    """kept: None before the data directory is open. failure: why the model could not be made ready. retry: seconds."""
    routes = APIRouter()

    def service() -> Service | None:
        rest = kept()
        return None if rest is None else rest.service

    @routes.get("/healthz")
    async def healthz(response: Response) -> dict[str, str]:
        """200 while the device loop is alive, else 503 with the reason."""
        failed = "the model could not be made ready; the log has the error"
        why = unhealthy(service(), time.monotonic()) if failure() is None else failed
        if why is None:
            return {"status": "alive"}
        response.status_code = 503
        return {"status": "dead", "reason": why}

    @routes.get("/readyz")
    async def readyz(response: Response) -> dict[str, str | int]:
        """200 when another session would be taken, else 503 with Retry-After and the reason."""
        status, reason = readiness(service(), telemetry.drain, time.monotonic())
        if status != "ready":
            response.status_code = 503
            response.headers["Retry-After"] = f"{retry:.0f}"
        found = service()
        counts = {} if found is None else {"sessions": found.sessions, "limit": found.limit}
        return {"status": status, "reason": reason, **counts}

    @routes.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """For Prometheus."""
        rest = kept()
        _set(telemetry, service(), failure() is None)
        if rest is not None:
            counted = await rest.storage.transact(count_states)
            for state in State:
                telemetry.metrics.clips.labels(state.value).set(counted.get(state, 0))
        return Response(await asyncio.to_thread(telemetry.metrics.text), media_type=CONTENT_TYPE)

    return routes


def _set(telemetry: Telemetry, service: Service | None, loaded: bool) -> None:
    """The gauges, as things are now."""
    metrics, now = telemetry.metrics, time.monotonic()
    status, _ = readiness(service, telemetry.drain, now)
    metrics.ready.set(status == "ready")
    metrics.alive.set(loaded and unhealthy(service, now) is None)
    metrics.draining.set(telemetry.drain.begun)
    metrics.asyncio_tasks.set(len(asyncio.all_tasks()))
    metrics.threads.set(threading.active_count())
    if service is not None:
        _set_service(metrics, service, now)


def _set_service(metrics: Metrics, service: Service, now: float) -> None:
    scheduler = service.scheduler
    metrics.sessions.set(service.sessions)
    metrics.update_engine_restarts(service.engine.health.restarts)
    metrics.sessions_limit.set(service.limit)
    metrics.buffered_audio.set(service.backlog)
    metrics.queued_windows.set(scheduler.waiting)
    metrics.window_running.set(0.0 if scheduler.work is None else now - scheduler.work.since)
    state = service.device_state
    if state is not None and state.memory is not None:
        metrics.device_memory.set(state.memory)
    if state is not None and state.memory_limit is not None:
        metrics.device_memory_limit.set(state.memory_limit)
