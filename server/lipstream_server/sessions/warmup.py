"""Warm-up of an engine: first windows of each length, and the measurements from which capacity follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import numpy as np

from ..engines.base import OpenedStream, OutOfMemoryError, WindowRequest
from ..engines.interface import SupervisedEngine
from ..scheduling.batches import WindowJob
from ..scheduling.capacity import CapacityModel
from ..scheduling.scheduler import Scheduler

_WARMUP_WINDOWS = 2  # the first calls compile kernels and allocate
_MEASURED_WINDOWS = 3


async def measure_window_costs(
    scheduler: Scheduler, opened: OpenedStream, lengths: Sequence[int]
) -> dict[int, float]:
    """Generate windows of each length; return the seconds that one takes by length, for a session alone."""
    costs: dict[int, float] = {}
    for frames in lengths:
        request = silent_window(scheduler.engine, opened, frames)
        for _ in range(_WARMUP_WINDOWS):
            await scheduler.generate(WindowJob(request, time.monotonic()))
        scheduler.costs.reset(frames)
        for _ in range(_MEASURED_WINDOWS):
            await scheduler.wait_for_device()  # prefetching after a window is not part of the next one's cost
            await scheduler.generate(WindowJob(request, time.monotonic()))
        costs[frames] = scheduler.costs.window_cost(frames)
    return costs


def measure_capacity(engine: SupervisedEngine, request: WindowRequest, max_batch: int) -> CapacityModel:
    """Time batches of one and of two windows, prefetching included. Runs in the device thread."""
    single = median(_time_batch(engine, [request]) for _ in range(_MEASURED_WINDOWS))
    try:
        pair = median(_time_batch(engine, [request] * 2) for _ in range(_MEASURED_WINDOWS))
    except OutOfMemoryError:
        return CapacityModel(single, 2 * single, 1)
    return CapacityModel(single, pair, max_batch)


def silent_window(engine: SupervisedEngine, opened: OpenedStream, frames: int) -> WindowRequest:
    """Return a request for the first `frames` frames of silence."""
    samples = np.zeros(engine.samples_needed(frames), np.float32)
    return WindowRequest(opened.stream, samples, 0, frames, False)


def _time_batch(engine: SupervisedEngine, batch: list[WindowRequest]) -> float:
    started_at = time.perf_counter()
    engine.prefetch_motion_features([result.stream for result in engine.generate(batch)])
    return time.perf_counter() - started_at
