"""Settings of `lipstream serve` beyond those of the application: where it listens and which model it runs."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from .settings import ServerSettings
from .values import (
    Count,
    Device,
    LogFormat,
    Number,
)


class ServeSettings(ServerSettings):
    """Every setting of `lipstream serve`."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data: Path | None = Field(
        default=None,
        description="Directory in which avatars, clips and API keys are kept; ~/.local/share/lipstream if not set.",
    )
    open: bool | None = Field(
        default=None,
        description="Whether everybody who reaches the server may use it; if not set, API keys are required unless the server "
        "listens on this machine only and there are none.",
    )
    model: Path | None = Field(
        default=None, description="Directory of Hallo weights; the bundled model is used if not set."
    )
    device: Device = Field(
        default="auto",
        description="Device that runs the model: auto (CUDA if there is a GPU, else the CPU), cpu, cuda or cuda:N.",
    )
    steps: Count | None = Field(
        default=None, description="Number of DDIM steps; the model's own number is used if not set."
    )
    guidance: Number | None = Field(
        default=None,
        description="Classifier-free guidance scale; 1 switches guidance off, the model's own scale is used if not set.",
    )
    log_format: LogFormat | None = Field(
        default=None,
        description="Format of log lines, text or json; text on a terminal and json elsewhere if not set.",
    )
    trace: bool = Field(
        default=False,
        description="Send traces of sessions to the OpenTelemetry collector that OTEL_EXPORTER_OTLP_ENDPOINT names.",
    )
    stub: bool = Field(
        default=False,
        description="Run without a model and show moving colour bars, to measure the server alone.",
    )

    @property
    def directory(self) -> Path:
        """The data directory."""
        return self.data or default_data_directory()


def default_data_directory() -> Path:
    """Return the data directory by the XDG Base Directory Specification."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "lipstream"
