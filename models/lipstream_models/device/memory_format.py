"""Channels-last memory format, in which convolutions are fast."""

from typing import TypeVar

import torch

M = TypeVar("M", bound=torch.nn.Module)


def channels_last(module: M) -> M:
    """Convert the convolution weights (out, in, kh, kw) of a module to channels last, in place, and return it."""
    # nn.Module.to accepts a memory format, but its type hints do not.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
