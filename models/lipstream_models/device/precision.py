"""The fastest number format of a device."""

import torch

# Capabilities in torch.cpu.get_capabilities() that include bfloat16 products, on x86-64 and Arm.
_BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "arm_bf16")


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """Return float16 on a GPU, bfloat16 on a CPU with instructions for it, float32 on other CPUs.

    Without such instructions bfloat16 is emulated, and products take five times as long as in float32 (2026-11-23,
    AVX-512 server without AMX).
    """
    if torch.device(device).type != "cpu":
        return torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(capabilities.get(name) for name in _BFLOAT16_INSTRUCTIONS) else torch.float32


def training_dtype(device: torch.device | str) -> torch.dtype:
    """Return bfloat16, whose range is sufficient for gradients, where its products are fast; float32 elsewhere."""
    return torch.float32 if fast_dtype(device) is torch.float32 else torch.bfloat16


def autocast(device: torch.device | str) -> torch.autocast:
    """Return an autocast context with products in `training_dtype`."""
    dtype = training_dtype(device)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype is torch.bfloat16)
