"""Memory of the process and its device: glibc allocator settings for CPU inference, and GPU memory use."""

from __future__ import annotations

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_TRIM_THRESHOLD = 1 << 30
_MMAP_THRESHOLD = 32 << 20  # glibc's maximum


def device_memory(device: torch.device) -> tuple[int | None, int | None]:
    """Return bytes of device memory that this process has reserved, and the total; None if PyTorch does not count them."""
    if device.type != "cuda":
        return None, None
    return torch.cuda.memory_reserved(device), torch.cuda.get_device_properties(device).total_memory


def keep_freed_memory() -> bool:
    """Let glibc reuse freed blocks for the next tensor instead of returning them to the kernel.

    A denoising step allocates and frees hundreds of tensors of some megabytes. Fetching their pages again each time
    took a third of the autoencoder's time on two cores. Returns False, without effect, if the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)) and bool(
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
    )
