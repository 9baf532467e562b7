"""Out-of-memory detection across backends."""

from __future__ import annotations

import torch

from ..errors import LipstreamError

_CPU_ALLOCATOR = "DefaultCPUAllocator"  # raises a plain RuntimeError, recognisable by its text only


class DeviceMemoryError(LipstreamError):
    """The device is out of memory. Fewer streams at once, or a smaller window, may fit."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, or PyTorch on any device, is out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | DeviceMemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)
