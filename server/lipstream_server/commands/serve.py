"""`lipstream serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..config.serve_settings import (
    ConfigFile,
    Data,
    Device,
    DrainSeconds,
    Guidance,
    Host,
    LogFormat,
    Mark,
    Model,
    Open,
    Port,
    Preset,
    Sessions,
    SigningCertificate,
    SigningKey,
    Steps,
    Stub,
    Trace,
    gathered,
    loopback,
)

if TYPE_CHECKING:
    from ..engines.interface import RestorableEngine
    from ..engines.model_settings import ModelSettings
    from ..observability.logs import Format


def serve(
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    sessions: Sessions = None,
    data: Data = None,
    open: Open = None,
    model: Model = None,
    device: Device = None,
    preset: Preset = None,
    steps: Steps = None,
    guidance: Guidance = None,
    drain_seconds: DrainSeconds = None,
    log_format: LogFormat = None,
    mark: Mark = None,
    signing__certificate: SigningCertificate = None,
    signing__key: SigningKey = None,
    trace: Trace = None,
    stub: Stub = None,
) -> None:
    """Talking heads over a WebSocket, in real time. `lipstream config` prints all settings, of which these are a few."""
    flags = {name: value for name, value in locals().items() if name != "config"}
    import gc
    from dataclasses import replace
    from functools import partial
    from importlib.resources import files

    from ..api.app import create_app
    from ..api.static_page import Page
    from ..engines.model_loader import MODULES
    from ..engines.model_settings import ModelSettings
    from ..engines.remote.proxy import EngineProcess
    from ..http.uvicorn_server import bind, server
    from ..observability.logs import configure
    from ..observability.tracing import open_tracer
    from .keys import asks_for_keys

    settings = gathered(flags, config).settings
    configure(settings.log_format)
    plan = (
        Path(settings.preset) if settings.preset is not None and settings.preset.endswith(".json") else None
    )
    chosen = ModelSettings(
        settings.model, settings.device, plan, steps=settings.steps, guidance=settings.guidance
    )
    if plan is not None:
        settings = replace(settings, preset=None)

    make = partial(make_engine, None if settings.stub else chosen, settings.log_format)
    engine = EngineProcess.create(make, settings.engine, () if settings.stub else MODULES)

    def load() -> EngineProcess:
        engine.start()
        # All that is there now stays: no collection, during which every session stands still, needs to look at it.
        gc.collect()
        gc.freeze()
        return engine

    # Found by name: the rooms of the client and of the models are not imported for the files that they bring.
    page = Page(
        files("lipstream_client") / "web", files("lipstream_models") / "bundled" / "audio" / "reading.flac"
    )
    failures: list[Exception] = []

    def stop(error: Exception) -> None:
        failures.append(error)
        listening.should_exit = True

    with engine, bind(settings.host, settings.port) as address:
        keyed = asks_for_keys(settings, loopback(address.getsockname()[0]))
        tracer = open_tracer() if settings.trace else None
        listening = server(create_app(load, settings, stop, page, settings.directory, keyed, tracer))
        listening.run(sockets=[address])
    if failures:
        raise failures[0]


def make_engine(settings: ModelSettings | None, log_format: Format | None = None) -> RestorableEngine:
    """What runs in the engine's process, which logs as the server does; without settings there is no model in it."""
    import gc

    from ..engines.model_loader import load_engine
    from ..engines.stub import StubEngine
    from ..observability.logs import configure

    configure(log_format)
    engine = StubEngine(side=256) if settings is None else load_engine(settings)
    gc.collect()
    gc.freeze()  # as the server's own: what is there now stays
    return engine
