"""State of a running server, which requests reach through `dependencies`: the data directory, and the loaded engine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..auth.authenticator import Authenticator, open_authenticator
from ..avatars.recovery import recover_avatars
from ..clips.recovery import recover_clips
from ..clips.service import ClipService
from ..config.settings import ServerSettings
from ..engines.interface import SupervisedEngine
from ..errors import BusyError
from ..http.uploads import Uploads
from ..media.file.signing import ClipSigner, open_signing
from ..observability.telemetry import Telemetry
from ..scheduling.scheduler import create_device_thread
from ..sessions.service import Service, unready_error
from ..storage.storage import Storage
from ..webhooks.outbox import WebhookOutbox
from .background_tasks import run_background_tasks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataServices:
    """What the open data directory makes possible, with or without an engine.

    Attributes:
        storage: The data directory and its database.
        authenticator: API keys and session tokens.
        clips: All clips.
        outbox: Webhooks that wait to be sent.
        uploads: Receives request bodies.
        sign: Signs finished clips; None where they are not signed.
    """

    storage: Storage
    authenticator: Authenticator
    clips: ClipService
    outbox: WebhookOutbox
    uploads: Uploads
    sign: ClipSigner | None


class Runtime:
    """State that requests share.

    Args:
        settings: Settings of the server.
        telemetry: Metrics, drain and tracer.
        keyed: Whether requests need an API key.

    Attributes:
        data: Services of the data directory; None before it is open.
        service: The service of the engine; None while the engine is being loaded.
        failure: Why the engine could not be made ready.
    """

    def __init__(self, settings: ServerSettings, telemetry: Telemetry, keyed: bool) -> None:
        self.settings, self.telemetry, self.keyed = settings, telemetry, keyed
        self.data: DataServices | None = None
        self.service: Service | None = None
        self.failure: Exception | None = None

    def require_data(self) -> DataServices:
        """Return the services of the data directory.

        Raises:
            BusyError: It is not open yet.
        """
        if self.data is None:
            raise BusyError("the server is starting", self.settings.retry_after_seconds)
        return self.data

    def require_service(self) -> Service:
        """Return the service of the engine.

        Raises:
            BusyError: The engine is being loaded, or brought back.
        """
        if self.service is None or not self.service.is_ready:
            raise unready_error(self.service, self.settings.retry_after_seconds)
        return self.service

    def refuse_while_draining(self) -> None:
        """Refuse new work while the server stops.

        Raises:
            BusyError: The server is draining.
        """
        if self.telemetry.drain.has_started:
            raise BusyError("the server is stopping", self.settings.retry_after_seconds, "draining")

    @asynccontextmanager
    async def running(
        self,
        load: Callable[[], SupervisedEngine],
        root: Path | None,
        on_failure: Callable[[Exception], None] | None,
    ) -> AsyncIterator[None]:
        """Open the data directory, load the engine and serve in the background, while the context lasts.

        Args:
            load: Makes the engine, in a thread.
            root: Data directory; None for a temporary one.
            on_failure: Called when any of it fails.
        """
        serving = asyncio.create_task(self._run(load, root, on_failure), name="service")
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            self.data = None

    async def _run(
        self,
        load: Callable[[], SupervisedEngine],
        root: Path | None,
        on_failure: Callable[[Exception], None] | None,
    ) -> None:
        try:
            with _data_directory(root) as directory:
                async with open_data(directory, self.settings, self.keyed) as data:
                    self.data = data
                    await self._serve(load, data)
        except Exception as error:
            self.failure = error
            if on_failure is None:
                log.exception("the model could not be made ready")
            else:
                on_failure(error)

    async def _serve(self, load: Callable[[], SupervisedEngine], data: DataServices) -> None:
        """Load the engine and serve with it, until cancelled."""
        device = create_device_thread()
        engine = await asyncio.get_running_loop().run_in_executor(device, load)
        async with Service(engine, self.settings, data.storage, device, self.telemetry) as service:
            self.service = service
            try:
                await service.warm_up()
                await run_background_tasks(service, data.storage, data.clips, data.outbox, data.sign)
            finally:
                self.service = None


@asynccontextmanager
async def open_data(root: Path, settings: ServerSettings, keyed: bool) -> AsyncIterator[DataServices]:
    """Open a data directory, and recover what the last server left in it.

    Raises:
        DataDirectoryError: The directory cannot be used.
        SigningError: The certificate or key of signed clips cannot be used.
    """
    retry_after_seconds = settings.retry_after_seconds
    outbox = WebhookOutbox()
    async with (
        Storage(root) as storage,
        open_authenticator(storage, settings.access, keyed, retry_after_seconds) as authenticator,
    ):
        await storage.transact(recover_clips, storage.files, outbox, time.time())
        await storage.transact(recover_avatars, storage.files)
        yield DataServices(
            storage,
            authenticator,
            ClipService(storage, settings.clips, retry_after_seconds, outbox),
            outbox,
            Uploads(storage.files, settings.uploads, retry_after_seconds),
            _open_signing(settings),
        )


def _open_signing(settings: ServerSettings) -> ClipSigner | None:
    signing = settings.signing
    if signing.certificate is None or signing.key is None:
        return None
    return open_signing(signing.certificate, signing.key)


@contextmanager
def _data_directory(root: Path | None) -> Iterator[Path]:
    if root is not None:
        yield root
        return
    with TemporaryDirectory(prefix="lipstream-") as temporary:
        yield Path(temporary)
