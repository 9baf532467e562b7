"""The ASGI application: the live stream, avatars, clips, tokens, probes and, optionally, the browser page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI

from ..config.settings import ServerSettings
from ..engines.interface import SupervisedEngine
from ..http.problem_details import register_exception_handlers
from ..observability.drain import Drain
from ..observability.metrics import Metrics
from ..observability.telemetry import Telemetry
from . import (
    avatar_routes,
    clip_routes,
    probe_routes,
    stream_route,
    token_routes,
)
from .auth_middleware import AuthMiddleware, allow_origins
from .openapi import API_KEY, customize_openapi, document_webhooks
from .runtime import Runtime
from .static_page import StaticPage, page_routes

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def create_app(
    load: Callable[[], SupervisedEngine],
    settings: ServerSettings | None = None,
    on_failure: Callable[[Exception], None] | None = None,
    page: StaticPage | None = None,
    data: Path | None = None,
    keyed: bool = False,
    tracer: Tracer | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        load: Makes the engine. It is called in a thread when the application starts, which answers probes meanwhile.
        settings: Settings of the server.
        on_failure: Called when the engine cannot be made; the application goes on and is never ready.
        page: The page that `/` shows.
        data: Data directory; without one, a folder that is removed when the application ends.
        keyed: Whether requests need an API key of the data directory.
        tracer: Traces the windows of every session.
    """
    settings = settings or ServerSettings()
    telemetry = Telemetry(Metrics(), Drain(settings.drain_seconds), tracer)
    runtime = Runtime(settings, telemetry, keyed)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with runtime.running(load, data, on_failure):
            yield

    app = FastAPI(
        title="Lipstream",
        version="1",
        description="Talking heads: avatars, clips rendered from a recording, and live streams.",
        lifespan=lifespan,
    )
    app.state.runtime = runtime
    app.state.telemetry = telemetry
    app.include_router(_api_routes(), dependencies=[API_KEY] if keyed else [])
    app.include_router(stream_route.router)
    app.include_router(probe_routes.router)
    if page is not None:
        app.include_router(page_routes(page))
    document_webhooks(app)
    register_exception_handlers(app)
    customize_openapi(app)
    app.add_middleware(AuthMiddleware, runtime=runtime)
    allow_origins(app, settings.access.allowed_origins)
    return app


def _api_routes() -> APIRouter:
    """Return the routes that need an API key, where the server asks for keys."""
    routes = APIRouter()
    for module in (avatar_routes, clip_routes, token_routes):
        routes.include_router(module.router)
    return routes
