"""Routes for operators: `/healthz`, `/readyz`, and `/metrics` for Prometheus."""

from __future__ import annotations

import asyncio
import threading
import time

from fastapi import APIRouter, Response

from ..clips.state import State
from ..clips.table import count_by_state
from ..observability.metrics import CONTENT_TYPE, Metrics
from ..sessions.service import Service
from .dependencies import CurrentRuntime
from .health import readiness, unhealthy_reason
from .runtime import Runtime

router = APIRouter()


@router.get("/healthz", summary="Say whether the server is alive.")
async def healthz(runtime: CurrentRuntime, response: Response) -> dict[str, str]:
    """200 while the device loop is alive, otherwise 503 with the reason."""
    reason: str | None = "the model could not be made ready; the log has the error"
    if runtime.failure is None:
        reason = unhealthy_reason(runtime.service, time.monotonic())
    if reason is None:
        return {"status": "alive"}
    response.status_code = 503
    return {"status": "dead", "reason": reason}


@router.get("/readyz", summary="Say whether the server would accept another session.")
async def readyz(runtime: CurrentRuntime, response: Response) -> dict[str, str | int]:
    """200 when another session would be accepted, otherwise 503 with Retry-After and the reason."""
    service = runtime.service
    status, reason = readiness(service, runtime.telemetry.drain, time.monotonic())
    if status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = f"{runtime.settings.retry_after_seconds:.0f}"
    counts = {} if service is None else {"sessions": service.limiter.active, "limit": service.limiter.limit}
    return {"status": status, "reason": reason, **counts}


@router.get("/metrics", include_in_schema=False)
async def metrics(runtime: CurrentRuntime) -> Response:
    """Return all metrics in the format of Prometheus."""
    found = runtime.telemetry.metrics
    _set_gauges(found, runtime)
    if runtime.data is not None:
        counts = await runtime.data.storage.transact(count_by_state)
        for state in State:
            found.clips.labels(state.value).set(counts.get(state, 0))
    return Response(await asyncio.to_thread(found.text), media_type=CONTENT_TYPE)


def _set_gauges(metrics: Metrics, runtime: Runtime) -> None:
    """Set the gauges to what they are now."""
    service, drain, now = runtime.service, runtime.telemetry.drain, time.monotonic()
    status, _ = readiness(service, drain, now)
    metrics.ready.set(status == "ready")
    metrics.alive.set(runtime.failure is None and unhealthy_reason(service, now) is None)
    metrics.draining.set(drain.has_started)
    metrics.asyncio_tasks.set(len(asyncio.all_tasks()))
    metrics.threads.set(threading.active_count())
    if service is not None:
        _set_service_gauges(metrics, service, now)


def _set_service_gauges(metrics: Metrics, service: Service, now: float) -> None:
    scheduler = service.scheduler
    metrics.sessions.set(service.limiter.active)
    metrics.update_engine_restarts(service.engine_health.restarts)
    metrics.sessions_limit.set(service.limiter.limit)
    metrics.buffered_audio.set(service.buffered_seconds)
    metrics.queued_windows.set(scheduler.queue_depth)
    metrics.window_running.set(scheduler.running_seconds(now))
    state = service.device_state
    if state is not None and state.memory is not None:
        metrics.device_memory.set(state.memory)
    if state is not None and state.memory_limit is not None:
        metrics.device_memory_limit.set(state.memory_limit)
