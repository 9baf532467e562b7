"""Which number format a device computes fastest in."""

import torch

# Names that torch.cpu.get_capabilities() gives to instructions for bfloat16 products, on x86-64 and on Arm.
_BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "arm_bf16")


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """float16 on a GPU; bfloat16 on a CPU with instructions for it, float32 on one without.

    Without them bfloat16 is emulated: products took five times as long as in float32 (2026-11-23, an AVX-512 server whose AMX was
    hidden by its hypervisor).
    """
    if torch.device(device).type != "cpu":
        return torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(capabilities.get(name) for name in _BFLOAT16_INSTRUCTIONS) else torch.float32


def training_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16, whose range no gradient leaves, where products are fast in it; float32 elsewhere."""
    return torch.float32 if fast_dtype(device) is torch.float32 else torch.bfloat16


def autocast(device: torch.device | str) -> torch.autocast:
    """For training: products in `training_dtype`."""
    dtype = training_dtype(device)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype is torch.bfloat16)
