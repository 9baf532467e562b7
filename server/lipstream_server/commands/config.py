"""`lipstream config`: what `lipstream serve` would run with."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from ..config.effective import DEFAULT, Effective, variable
from ..config.env_file import env_lines
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
    ServeSettings,
    Sessions,
    SigningCertificate,
    SigningKey,
    Steps,
    Stub,
    Trace,
    gathered,
)

_WIDTH = 100


def config(
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
    explain: Annotated[
        bool, typer.Option("--explain", help="with what each means, and its variable in the environment")
    ] = False,
    env: Annotated[
        bool, typer.Option("--env", help="as a file of variables instead, such as containers take, explained")
    ] = False,
) -> None:
    """Every setting of `lipstream serve`, one a line, as TOML that --config takes, and where it comes from."""
    flags = {name: value for name, value in locals().items() if name not in ("config", "explain", "env")}
    found = gathered(flags, config)
    for line in env_lines(found) if env else lines(found, explain):
        typer.echo(line)


def lines(found: Effective[ServeSettings], explain: bool = False) -> Iterator[str]:
    """What is not set, and what is secret, is commented out, so that the rest can be read again."""
    for key, leaf in found.leaves.items():
        given = found.given.get(key)
        value, origin = (leaf.default, DEFAULT) if given is None else (given.value, given.origin)
        if explain:
            yield from (
                "",
                *(f"# {line}" for line in textwrap.wrap(f"{leaf.description}. {variable(key)}", _WIDTH)),
            )
        shown = toml(value)
        yield (
            f"{key} = {shown}  # {origin}" if shown is not None else f"# {key} = {_unset(value)}  # {origin}"
        )


def toml(value: Any) -> str | None:
    """A value as TOML has it; None for one that it cannot have, or must not show."""
    match value:
        case None | SecretStr():
            return None
        case bool():
            return str(value).lower()
        case tuple():
            return f"[{', '.join(toml(each) or '' for each in value)}]"
        case Path():
            return json.dumps(str(value), ensure_ascii=False)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _unset(value: Any) -> str:
    return "(not set)" if value is None else "(secret)"
