"""Choice of the device that runs a model, by the names that commands and settings take."""

from __future__ import annotations

import re

import torch

from ..errors import LipstreamError

_NAME = re.compile(r"auto|cpu|cuda(?::(\d{1,3}))?")


class DeviceError(LipstreamError):
    """A device that does not exist, or that this build of PyTorch cannot use."""


def select_device(name: str = "auto") -> torch.device:
    """Return the device with this name: `auto` (CUDA, then CPU), `cpu`, `cuda` or `cuda:N`.

    Raises:
        DeviceError: the name is unknown, or there is no such device; the message says what was found.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise DeviceError(f"expected auto, cpu, cuda or cuda:N as device, got {name!r}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if torch.version.cuda is None and not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} needs a CUDA build of PyTorch, found {torch.__version__}; "
            "in a checkout: make venv TORCH=cuda; otherwise: pip install torch from the default index"
        )
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} needs an NVIDIA GPU and its driver, and PyTorch {torch.__version__} found none; "
            "check with nvidia-smi, or use --device cpu"
        )
    index, count = int(match[1] or 0), torch.cuda.device_count()
    if index >= count:
        raise DeviceError(f"device {name!r} does not exist, only cuda:0 to cuda:{count - 1}")
    return torch.device("cuda", index)


def describe_device(device: torch.device) -> str:
    """Return a device's name for people, such as `cuda:0 (NVIDIA H200)` or `cpu (16 threads)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
