"""`lipstream serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .logs import Format
from .watch import DRAIN_SECONDS


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
    drain_seconds: Annotated[
        float, typer.Option(help="how long sessions may go on when the server is told to stop", min=0)
    ] = DRAIN_SECONDS,
    log_format: Annotated[
        Format | None, typer.Option(help="text on a terminal without it, else json")
    ] = None,
    mark: Annotated[
        bool, typer.Option("--mark", help='show "AI" in a corner of every picture, of sessions and of clips')
    ] = False,
    sign_certificate: Annotated[
        Path | None, typer.Option(help="sign clips (C2PA) with this certificate chain, PEM")
    ] = None,
    sign_key: Annotated[Path | None, typer.Option(help="its private key, PEM")] = None,
    trace: Annotated[
        bool,
        typer.Option("--trace", help="traces to an OpenTelemetry collector: OTEL_EXPORTER_OTLP_ENDPOINT"),
    ] = False,
    stub: Annotated[
        bool, typer.Option(help="no model, only coloured bars: what the server itself costs")
    ] = False,
) -> None:
    """Talking heads over a WebSocket, in real time."""
    import gc
    from importlib.resources import files

    from .app import create_app
    from .data_directory import default_directory
    from .engine import Engine
    from .listener import bind, server
    from .logs import configure
    from .model_engine import ModelSettings, load_engine
    from .page import Page
    from .settings import ServerSettings, SigningSettings
    from .stub_engine import StubEngine
    from .tracing import open_tracer

    configure(log_format)
    plan = Path(preset) if preset is not None and preset.endswith(".json") else None
    settings = ServerSettings(
        sessions=sessions,
        preset=preset if plan is None else None,
        drain_seconds=drain_seconds,
        mark=mark,
        signing=SigningSettings(sign_certificate, sign_key),
    )
    chosen = ModelSettings(model=model, device=device, plan=plan, steps=steps, guidance=guidance)

    def load() -> Engine:
        engine = StubEngine(side=256) if stub else load_engine(chosen)
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

    with bind(host, port) as address:
        tracer = open_tracer() if trace else None
        listening = server(create_app(load, settings, stop, page, data or default_directory(), tracer))
        listening.run(sockets=[address])
    if failures:
        raise failures[0]
