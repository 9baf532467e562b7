"""Periodic health check of the engine, so that one that dies while idle is restarted before the next session."""

from __future__ import annotations

import asyncio
import logging

from ..engines.base import EngineLostError
from .scheduler import Scheduler

log = logging.getLogger(__name__)


async def monitor_engine(scheduler: Scheduler, interval: float) -> None:
    """Check the engine every `interval` seconds until cancelled; a lost engine is reported once."""
    engine = scheduler.engine
    while True:
        await asyncio.sleep(interval)
        try:
            await scheduler.run_on_device(engine.check)
        except EngineLostError as error:
            if engine.health.state == "lost":
                log.critical("%s", error)
                await asyncio.Event().wait()
        except Exception:
            log.exception("the engine's health check failed")
