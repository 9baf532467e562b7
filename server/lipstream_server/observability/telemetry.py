"""Telemetry and shutdown state that the parts of a server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .drain import DRAIN_SECONDS, Drain
from .metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


@dataclass(frozen=True)
class Telemetry:
    """Metrics, shutdown state and tracer of one server; `tracer` is None where nothing is traced."""

    metrics: Metrics = field(default_factory=Metrics)
    drain: Drain = field(default_factory=lambda: Drain(DRAIN_SECONDS))
    tracer: Tracer | None = None
