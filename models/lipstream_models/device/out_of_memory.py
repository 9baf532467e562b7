"""When a device has no room for a computation: one error, however the library says it."""

from __future__ import annotations

import torch

from ..errors import LipstreamError

_CPU_ALLOCATOR = "DefaultCPUAllocator"  # it raises a RuntimeError that nothing but its text tells apart


class DeviceMemoryError(LipstreamError):
    """The device has no room for this; fewer streams at once, or a smaller window, may fit."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, or PyTorch on any device, found no room."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | DeviceMemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)
