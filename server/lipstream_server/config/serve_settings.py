"""What `lipstream serve` can be told besides what the application can: where to listen, which model, who may come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from ..engines.model_settings import ModelSettings
from ..observability.logs import Format
from ..storage.data_directory import default_directory
from .effective import Effective, effective, flag
from .setting_tree import leaves
from .settings import ServerSettings


@dataclass(frozen=True)
class ServeSettings(ServerSettings):
    """host: address to listen on. port: port to listen on; 0 takes a free one. data: where avatars, clips and keys are kept;
    ~/.local/share/lipstream without it. open: whoever reaches the server may use it; without it, keys are asked for unless it
    listens on this machine only and there are none. model: directory of Hallo weights; the bundled model without it.
    device: cpu, cuda, cuda:1 and the like. steps: DDIM steps; the model's own number without it. guidance: guidance scale; 1
    switches guidance off. log_format: text or json; text on a terminal without it, else json. trace: traces of sessions go to an
    OpenTelemetry collector, which OTEL_EXPORTER_OTLP_ENDPOINT names. stub: no model, only coloured bars: what the
    server itself costs. preset: of sessions that name none, see `lipstream plan`, or a plan's JSON file.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path | None = None
    open: bool | None = None
    model: Path | None = ModelSettings.model
    device: str = ModelSettings.device
    steps: int | None = ModelSettings.steps
    guidance: float | None = ModelSettings.guidance
    log_format: Format | None = None
    trace: bool = False
    stub: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.port > 65535:
            raise ValueError(f"a port is a number up to 65535, got {self.port}")

    @property
    def directory(self) -> Path:
        return self.data or default_directory()


def gathered(flags: Mapping[str, Any], file: Path | None) -> Effective[ServeSettings]:
    """The settings of this process. Raises SettingsError, OSError."""
    return effective(ServeSettings, flags, os.environ, file)


def loopback(host: str) -> bool:
    """Whether a bound address is reached from this machine only."""
    return ip_address(host).is_loopback


_LEAVES = leaves(ServeSettings)


def _option(key: str, named: str | None = None) -> Any:
    """named: how the flag is written where that does not follow from its key and type."""
    leaf = _LEAVES[key]
    shown = False if leaf.default is None or leaf.default is False else str(leaf.default)
    return typer.Option(named or flag(key), help=leaf.description, show_default=shown)


ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="a TOML file of settings; LIPSTREAM_CONFIG names it too")
]
Host = Annotated[str | None, _option("host")]
Port = Annotated[int | None, _option("port")]
Sessions = Annotated[int | None, _option("sessions")]
Data = Annotated[Path | None, _option("data")]
Open = Annotated[bool | None, _option("open", "--open/--no-open")]
Model = Annotated[Path | None, _option("model")]
Device = Annotated[str | None, _option("device")]
Preset = Annotated[str | None, _option("preset")]
Steps = Annotated[int | None, _option("steps")]
Guidance = Annotated[float | None, _option("guidance")]
DrainSeconds = Annotated[float | None, _option("drain_seconds")]
LogFormat = Annotated[Format | None, _option("log_format")]
Mark = Annotated[bool | None, _option("mark")]
SigningCertificate = Annotated[Path | None, _option("signing.certificate")]
SigningKey = Annotated[Path | None, _option("signing.key")]
Trace = Annotated[bool | None, _option("trace")]
Stub = Annotated[bool | None, _option("stub")]
