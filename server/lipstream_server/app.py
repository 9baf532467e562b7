"""The ASGI application: one WebSocket, avatars and clips, two probes and, where there is one, the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import FastAPI, Response, WebSocket

from .avatar_routes import avatar_routes
from .busy import BusyError
from .channel import Channel
from .clip_routes import clip_routes
from .connection import serve
from .documented import document
from .engine import Engine
from .page import Page, page_routes
from .problem import speak_problems
from .protocol import PATH
from .rest import Rest, opened
from .scheduler import device_thread
from .service import Service
from .settings import ServerSettings

log = logging.getLogger(__name__)


def create_app(
    load: Callable[[], Engine],
    settings: ServerSettings | None = None,
    failed: Callable[[Exception], None] | None = None,
    page: Page | None = None,
    data: Path | None = None,
) -> FastAPI:
    """load: makes the engine; it is called in a thread when the application starts, which answers probes meanwhile.

    failed: told when the engine cannot be made; the application goes on and is never ready.
    page: what is shown at `/`.
    data: where avatars and clips are kept; without it in a folder that ends with the application.
    """
    settings = settings or ServerSettings()
    found: list[Rest] = []

    def find() -> Service | None:
        return found[0].service if found else None

    def rest() -> Rest:
        if not found:
            raise BusyError("the server is starting", settings.retry_seconds)
        return found[0]

    async def keep() -> None:
        try:
            with _directory(data) as root:
                async with opened(root, settings) as kept:
                    found.append(kept)
                    await _serve(load, settings, kept)
        except Exception as error:
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

    @app.get("/healthz")
    async def healthz(response: Response) -> dict[str, str]:
        """200 while the process answers and the device's loop goes on; 503 when only a restart of the server helps."""
        service = find()
        if service is None or service.alive:
            return {"status": "alive"}
        response.status_code = 503
        return {"status": "lost"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, str | int]:
        """200 when another session would be taken, else 503 with Retry-After."""
        service = find()
        status = "loading" if service is None else service.status
        if status != "ready":
            response.status_code = 503
            response.headers["Retry-After"] = f"{settings.retry_seconds:.0f}"
        if service is None or status not in ("ready", "full"):
            return {"status": status}
        return {"status": status, "sessions": service.sessions, "limit": service.limit}

    @app.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await serve(Channel(socket, settings.send_seconds), settings, find)

    app.include_router(avatar_routes(find, lambda: rest().uploads, settings))
    app.include_router(clip_routes(lambda: rest().clips, lambda: rest().orders))
    if page is not None:
        app.include_router(page_routes(page))
    speak_problems(app)
    document(app)
    return app


async def _serve(load: Callable[[], Engine], settings: ServerSettings, kept: Rest) -> None:
    """Load the model and serve with it, until this is cancelled."""
    device = device_thread()
    engine = await asyncio.get_running_loop().run_in_executor(device, load)
    async with Service(engine, settings, kept.storage, device) as service:
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
