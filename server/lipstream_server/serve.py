"""`lipstream serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from .engine import Restorable
    from .model_engine import ModelSettings


def serve(
    model: Annotated[
        Path | None, typer.Option(help="directory of Hallo weights; the bundled model without it")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    preset: Annotated[
        str | None,
        typer.Option(help="of sessions that name none, see `lipstream plan`, or a plan's JSON file"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="DDIM steps; the model's own number without it")] = None,
    guidance: Annotated[float | None, typer.Option(help="guidance scale; 1 switches guidance off")] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one", min=0, max=65535)] = 8000,
    sessions: Annotated[
        int | None, typer.Option(help="most sessions at once; measured at the start without it", min=1)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="where avatars and clips are kept; ~/.local/share/lipstream without it"),
    ] = None,
    stub: Annotated[
        bool, typer.Option(help="no model, only coloured bars: what the server itself costs")
    ] = False,
) -> None:
    """Talking heads over a WebSocket, in real time."""
    import gc
    from functools import partial
    from importlib.resources import files

    from .app import create_app
    from .data_directory import default_directory
    from .engine_process import EngineProcess
    from .listener import bind, server
    from .model_engine import MODULES, ModelSettings
    from .page import Page
    from .settings import ServerSettings

    plan = Path(preset) if preset is not None and preset.endswith(".json") else None
    settings = ServerSettings(sessions=sessions, preset=preset if plan is None else None)
    chosen = ModelSettings(model=model, device=device, plan=plan, steps=steps, guidance=guidance)

    make = partial(make_engine, None if stub else chosen)
    engine = EngineProcess(make, settings.engine, () if stub else MODULES)

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

    with engine, bind(host, port) as address:
        listening = server(create_app(load, settings, stop, page, data or default_directory()))
        listening.run(sockets=[address])
    if failures:
        raise failures[0]


def make_engine(settings: ModelSettings | None) -> Restorable:
    """What runs in the engine's process; without settings there is no model in it."""
    import gc

    from .model_engine import load_engine
    from .stub_engine import StubEngine

    engine = StubEngine(side=256) if settings is None else load_engine(settings)
    gc.collect()
    gc.freeze()  # as the server's own: what is there now stays
    return engine
