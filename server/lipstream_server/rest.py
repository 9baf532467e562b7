"""What the REST interface is made of while a server runs: the open data directory, the clips in it and who makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from .busy import BusyError
from .clip_orders import ClipOrders
from .clip_worker import ClipWorker
from .clips import Clips
from .service import Service, unready
from .settings import ServerSettings
from .storage import Storage
from .uploads import Uploads

_SWEEP_SECONDS = 60.0


class Rest:
    """service: None while its model is being loaded; the clips can be looked at before."""

    def __init__(self, storage: Storage, settings: ServerSettings) -> None:
        self.storage = storage
        self.service: Service | None = None
        self.clips = Clips(storage, settings.clips, settings.retry_seconds)
        self.uploads = Uploads(storage.files, settings.uploads, settings.retry_seconds)
        self._settings = settings

    @property
    def orders(self) -> ClipOrders:
        """Raises BusyError."""
        if self.service is None or not self.service.ready:
            raise BusyError(unready(self.service), self._settings.retry_seconds)
        return ClipOrders(self.service, self.clips, self.uploads)

    async def work(self, service: Service) -> None:
        """Make clips, and remove old ones, until it is cancelled. service: ready."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ClipWorker(service, self.clips).run(), name="clips")
            tasks.create_task(self._sweep(service), name="sweep")

    async def _sweep(self, service: Service) -> None:
        while True:
            await self.clips.sweep()
            await service.avatars.sweep()
            await asyncio.sleep(_SWEEP_SECONDS)


@asynccontextmanager
async def opened(root: Path, settings: ServerSettings) -> AsyncIterator[Rest]:
    """Raises DataDirectoryError."""
    async with Storage(root) as storage:
        yield Rest(storage, settings)
