"""What the REST interface is made of while a server runs: the open data directory, the clips in it and who makes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..auth.authenticator import Access, access_opened
from ..busy import BusyError
from ..clips.service import Clips
from ..clips.worker import ClipWorker
from ..config.settings import ServerSettings
from ..engines.base import EngineLostError
from ..http.uploads import Uploads
from ..media.file.signing import Sign, open_signing
from ..sessions.service import Service, busy
from ..storage.storage import Storage
from ..webhooks.sender import WebhookSender
from .clip_submission import ClipOrders

log = logging.getLogger(__name__)
_SWEEP_SECONDS = 60.0
_LOOK_SECONDS = 10.0


class Rest:
    """service: None while its model is being loaded; the clips can be looked at before."""

    def __init__(self, storage: Storage, settings: ServerSettings, access: Access) -> None:
        self.storage, self.access = storage, access
        self.service: Service | None = None
        self.clips = Clips(storage, settings.clips, settings.retry_seconds)
        self.uploads = Uploads(storage.files, settings.uploads, settings.retry_seconds)
        self._settings, signing = settings, settings.signing
        self._sign: Sign | None = None
        if signing.certificate is not None and signing.key is not None:
            self._sign = open_signing(signing.certificate, signing.key)

    @property
    def orders(self) -> ClipOrders:
        """Raises BusyError."""
        if self.service is None or not self.service.ready:
            raise busy(self.service, self._settings.retry_seconds)
        if self.service.telemetry.drain.begun:
            raise BusyError("the server is stopping", self._settings.retry_seconds, "draining")
        return ClipOrders(self.service, self.clips, self.uploads)

    async def work(self, service: Service) -> None:
        """Make clips, tell of them, and remove old ones, until it is cancelled. service: ready."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ClipWorker(service, self.clips, self._sign).run(), name="clips")
            tasks.create_task(self._sweep(service), name="sweep")
            if self._settings.webhooks.secret is not None:
                metrics = service.telemetry.metrics
                sender = WebhookSender(self.storage, self._settings.webhooks, self.clips.ended, metrics)
                tasks.create_task(sender.run(), name="webhooks")
            tasks.create_task(_look_at_device(service), name="device state")

    async def _sweep(self, service: Service) -> None:
        while True:
            await self.clips.sweep()
            await service.avatars.sweep()
            await asyncio.sleep(_SWEEP_SECONDS)


async def _look_at_device(service: Service) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await service.look_at_device()
        except EngineLostError:
            continue  # which is told already
        except Exception:
            log.exception("the device could not be asked how it is")  # the next window tells more


@asynccontextmanager
async def opened(root: Path, settings: ServerSettings, keyed: bool) -> AsyncIterator[Rest]:
    """keyed: whether keys are asked for. Raises DataDirectoryError, SigningError."""
    async with (
        Storage(root) as storage,
        access_opened(storage, settings.access, keyed, settings.retry_seconds) as access,
    ):
        yield Rest(storage, settings, access)
