"""The process and its device: settings for inference on a CPU, and how much memory a GPU has left."""

from __future__ import annotations

import ctypes
import sys

import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP = 1 << 30
_LARGEST_POOLED = 32 << 20  # glibc accepts no more


def device_memory(device: torch.device) -> tuple[int | None, int | None]:
    """Bytes that this process holds of the device's memory, and that the device has; None where PyTorch counts none."""
    if device.type != "cuda":
        return None, None
    return torch.cuda.memory_reserved(device), torch.cuda.get_device_properties(device).total_memory


def keep_freed_memory() -> bool:
    """Makes glibc keep freed blocks for the next tensor instead of returning each to the kernel.

    A denoising step allocates and frees hundreds of tensors of some megabytes; fetching their pages anew every time took a third
    of the autoencoder's time (measured on two cores, see bench/README.md). Does nothing, and says so by returning False, where
    the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_POOLED)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEEP))
