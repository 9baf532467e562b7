"""Tasks beside the requests: clips are rendered, webhooks sent, old files removed, and the device observed."""

from __future__ import annotations

import asyncio

from ..clips.service import ClipService
from ..clips.worker import ClipWorker
from ..engines.base import EngineLostError
from ..media.file.signing import ClipSigner
from ..sessions.service import Service
from ..storage.storage import Storage
from ..webhooks.outbox import WebhookOutbox
from ..webhooks.sender import WebhookSender

_RETENTION_SECONDS = 60.0
_DEVICE_STATE_SECONDS = 10.0


async def run_background_tasks(
    service: Service, storage: Storage, clips: ClipService, outbox: WebhookOutbox, sign: ClipSigner | None
) -> None:
    """Run all background tasks until cancelled. The service is ready."""
    webhooks = service.settings.webhooks
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ClipWorker(service, clips, sign).run(), name="clips")
        tasks.create_task(_apply_retention(service, clips), name="retention")
        if webhooks.secret is not None:
            sender = WebhookSender(storage, webhooks, outbox, service.telemetry.metrics)
            tasks.create_task(sender.run(), name="webhooks")
        tasks.create_task(_observe_device(service), name="device state")


async def _apply_retention(service: Service, clips: ClipService) -> None:
    while True:
        await clips.remove_expired()
        await service.avatars.remove_unused()
        await asyncio.sleep(_RETENTION_SECONDS)


async def _observe_device(service: Service) -> None:
    while True:
        await asyncio.sleep(_DEVICE_STATE_SECONDS)
        try:
            await service.update_device_state()
        except EngineLostError:
            continue  # the scheduler has logged it
