"""The ASGI application: one WebSocket, the avatars, two probes and, where there is one, the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response, WebSocket

from .avatar_routes import avatar_routes
from .channel import Channel
from .connection import serve
from .engine import Engine
from .page import Page, page_routes
from .problem import speak_problems
from .protocol import PATH
from .scheduler import device_thread
from .service import Service
from .settings import ServerSettings

log = logging.getLogger(__name__)


def create_app(
    load: Callable[[], Engine],
    settings: ServerSettings | None = None,
    failed: Callable[[Exception], None] | None = None,
    page: Page | None = None,
) -> FastAPI:
    """load: makes the engine; it is called in a thread when the application starts, which answers probes meanwhile.

    failed: told when the engine cannot be made; the application goes on and is never ready.
    page: what is shown at `/`.
    """
    settings = settings or ServerSettings()
    found: list[Service] = []

    def find() -> Service | None:
        return found[0] if found else None

    async def keep() -> None:
        try:
            device = device_thread()
            engine = await asyncio.get_running_loop().run_in_executor(device, load)
            async with Service(engine, settings, device) as service:
                found.append(service)
                await service.warm_up()
                await asyncio.Event().wait()
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

    app = FastAPI(title="Lipstream", lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz(response: Response) -> dict[str, str | int]:
        """200 when another session would be taken, else 503 with Retry-After."""
        service = find()
        loading = service is None or not service.ready
        if service is None or loading or service.full:
            response.status_code = 503
            response.headers["Retry-After"] = f"{settings.retry_seconds:.0f}"
        if service is None or loading:
            return {"status": "loading"}
        status = "full" if service.full else "ready"
        return {"status": status, "sessions": service.sessions, "limit": service.limit}

    @app.websocket(PATH)
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        await serve(Channel(socket, settings.send_seconds), settings, find)

    app.include_router(avatar_routes(find, settings))
    if page is not None:
        app.include_router(page_routes(page))
    speak_problems(app)
    return app
