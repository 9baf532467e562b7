"""Loading of a ModelEngine."""

from __future__ import annotations

import logging

from ..observability.logs import log_event
from .model import ModelEngine
from .model_settings import ModelSettings

log = logging.getLogger(__name__)
MODULES = (
    "lipstream_models.bundled",
    "lipstream_models.pipeline",
    "lipstream_models.checkpoints.hallo",
    "lipstream_models.device.out_of_memory",
    "lipstream_models.portrait",
    "lipstream_models.device.allocator",
    "lipstream_models.device.selection",
    "lipstream_models.device.timer",
)
"""Modules that an engine's process imports before its first start, by name: importing this module loads none of them."""


def load_engine(settings: ModelSettings) -> ModelEngine:
    """Load the bundled model, or that of a directory of Hallo weights, and log the device. Raises LipstreamError."""
    from lipstream_models.bundled import load_bundled
    from lipstream_models.checkpoints.hallo import load_hallo
    from lipstream_models.device.allocator import keep_freed_memory
    from lipstream_models.device.selection import describe_device, select_device

    device = select_device(settings.device)
    log_event(log, "device selected", device=describe_device(device))
    keep_freed_memory()
    if settings.model is None:
        return ModelEngine(load_bundled(device), settings)
    return ModelEngine(load_hallo(settings.model, device), settings)
