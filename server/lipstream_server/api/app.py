"""The ASGI application: one WebSocket, avatars and clips, three probes and, where there is one, the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fastapi import FastAPI, WebSocket

from ..auth.caller import caller_of
from ..busy import BusyError
from ..config.settings import ServerSettings
from ..engines.base import Engine
from ..http.problem_details import speak_problems
from ..observability.drain import Drain
from ..observability.metrics import Metrics
from ..observability.telemetry import Telemetry
from ..protocol import PATH, SUBPROTOCOL
from ..scheduling.scheduler import device_thread
from ..sessions.channel import Channel
from ..sessions.service import Service
from .auth_middleware import Gate, allow_origins
from .avatar_routes import avatar_routes
from .clip_routes import clip_routes
from .openapi import document, document_webhooks
from .probe_routes import probe_routes
from .runtime import Rest, opened
from .static_page import Page, page_routes
from .stream_route import serve
from .token_routes import token_routes

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)


def create_app(
    load: Callable[[], Engine],
    settings: ServerSettings | None = None,
    failed: Callable[[Exception], None] | None = None,
    page: Page | None = None,
    data: Path | None = None,
    keyed: bool = False,
    tracer: Tracer | None = None,
) -> FastAPI:
    """load: makes the engine; it is called in a thread when the application starts, which answers probes meanwhile.

    failed: told when the engine cannot be made; the application goes on and is never ready.
    page: what is shown at `/`.
    data: where avatars, clips and keys are kept; without it in a folder that ends with the application.
    keyed: whether one of those keys is asked for.
    tracer: told of the windows of every session.
    """
    settings = settings or ServerSettings()
    telemetry = Telemetry(Metrics(), Drain(settings.drain_seconds), tracer)
    found: list[Rest] = []
    failures: list[Exception] = []

    def find() -> Service | None:
        return found[0].service if found else None

    def rest() -> Rest:
        if not found:
            raise BusyError("the server is starting", settings.retry_seconds)
        return found[0]

    async def keep() -> None:
        try:
            with _directory(data) as root:
                async with opened(root, settings, keyed) as kept:
                    found.append(kept)
                    await _serve(load, settings, telemetry, kept)
        except Exception as error:
            failures.append(error)
            if failed is None:
                log.exception("the model could not be made ready")
            else:
                failed(error)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keeping = asyncio.create_task(keep(), name="service")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            found.clear()

    app = FastAPI(
        title="Lipstream",
        version="1",
        description="Talking heads: faces, clips made of a recording, and live streams.",
        lifespan=lifespan,
    )

    app.state.telemetry = telemetry

    @app.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
        channel = Channel(socket, settings.send_seconds)
        await serve(channel, settings, telemetry, find, caller_of(socket), lambda: rest().access)

    app.include_router(
        probe_routes(
            telemetry,
            lambda: found[0] if found else None,
            lambda: failures[0] if failures else None,
            settings.retry_seconds,
        )
    )
    app.include_router(avatar_routes(find, lambda: rest().uploads, settings))
    app.include_router(clip_routes(lambda: rest().clips, lambda: rest().orders))
    app.include_router(token_routes(find, lambda: rest().access, settings))
    document_webhooks(app)
    if page is not None:
        app.include_router(page_routes(page))
    speak_problems(app)
    document(app)
    app.add_middleware(
        Gate, access=lambda: rest().access, keyed=keyed, settings=settings, telemetry=telemetry
    )
    allow_origins(app, settings.access.origins)
    return app


async def _serve(
    load: Callable[[], Engine], settings: ServerSettings, telemetry: Telemetry, kept: Rest
) -> None:
    """Load the model and serve with it, until this is cancelled."""
    device = device_thread()
    engine = await asyncio.get_running_loop().run_in_executor(device, load)
    async with Service(engine, settings, kept.storage, device, telemetry) as service:
        kept.service = service
        try:
            await service.warm_up()
            await kept.work(service)
        finally:
            kept.service = None


@contextmanager
def _directory(data: Path | None) -> Iterator[Path]:
    if data is not None:
        yield data
        return
    with TemporaryDirectory(prefix="lipstream-") as made:
        yield Path(made)
