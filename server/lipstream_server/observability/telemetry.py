"""What everybody in a server who has something to tell, or must know that it is about to stop, is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .drain import DRAIN_SECONDS, Drain
from .metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


@dataclass(frozen=True)
class Telemetry:
    """tracer: None where nothing is traced."""

    metrics: Metrics = field(default_factory=Metrics)
    drain: Drain = field(default_factory=lambda: Drain(DRAIN_SECONDS))
    tracer: Tracer | None = None
