"""`lipstream serve`: the composition root of the server."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.options import accept_settings
from ..config.sources import LoadedSettings

if TYPE_CHECKING:
    from ..config.serve_settings import ServeSettings
    from ..config.values import LogFormat
    from ..engines.interface import RestorableEngine
    from ..engines.model_settings import ModelSettings
    from ..engines.remote.proxy import EngineProcess


@accept_settings
def serve(loaded: LoadedSettings) -> None:
    """Serve talking heads over a WebSocket in real time. `lipstream config` prints all settings and their sources."""
    from importlib.resources import files

    from ..api.app import create_app
    from ..api.static_page import StaticPage
    from ..http.uvicorn_server import bind, build_server
    from ..observability.logs import configure_logging
    from ..observability.tracing import open_tracer
    from .keys import requires_keys

    settings = loaded.settings
    configure_logging(settings.log_format)
    engine, settings = _engine_process(settings)
    # Found by name: the rooms of the client and of the models are not imported for the files that they bring.
    page = StaticPage(
        files("lipstream_client") / "web", files("lipstream_models") / "bundled" / "audio" / "reading.flac"
    )
    failures: list[Exception] = []

    def stop(error: Exception) -> None:
        failures.append(error)
        listening.should_exit = True

    def load() -> EngineProcess:
        engine.start()
        _freeze_garbage()
        return engine

    with engine, bind(settings.host, settings.port) as address:
        keyed = requires_keys(settings, is_loopback(address.getsockname()[0]))
        tracer = open_tracer() if settings.trace else None
        listening = build_server(create_app(load, settings, stop, page, settings.directory, keyed, tracer))
        listening.run(sockets=[address])
    if failures:
        raise failures[0]


def make_engine(settings: ModelSettings | None, log_format: LogFormat | None = None) -> RestorableEngine:
    """Return the engine of the engine's process, which logs as the server does; without settings a stub."""
    from ..engines.model import load_engine
    from ..engines.stub import StubEngine
    from ..observability.logs import configure_logging

    configure_logging(log_format)
    engine = StubEngine(side=256) if settings is None else load_engine(settings)
    _freeze_garbage()
    return engine


def is_loopback(host: str) -> bool:
    """Return whether a bound address is reached from this machine only."""
    return ip_address(host).is_loopback


def _engine_process(settings: ServeSettings) -> tuple[EngineProcess, ServeSettings]:
    """Return the engine, not started, and the settings, where a plan's file is no longer a preset."""
    from functools import partial

    from ..engines.model import MODULES
    from ..engines.model_settings import ModelSettings
    from ..engines.remote.proxy import EngineProcess

    preset, plan = settings.preset, None
    if preset is not None and preset.endswith(".json"):
        settings, plan = settings.replace(preset=None), Path(preset)
    model = ModelSettings(
        settings.model, settings.device, plan, steps=settings.steps, guidance=settings.guidance
    )
    make = partial(make_engine, None if settings.stub else model, settings.log_format)
    return EngineProcess.create(make, settings.engine, () if settings.stub else MODULES), settings


def _freeze_garbage() -> None:
    """Exempt all objects so far from garbage collection, during which every session would stand still."""
    import gc

    gc.collect()
    gc.freeze()
