"""Channels last: the layout in which convolutions are fast."""

from typing import TypeVar

import torch

M = TypeVar("M", bound=torch.nn.Module)


def channels_last(module: M) -> M:
    """The module itself, its convolution weights laid out anew."""
    # nn.Module.to takes a memory format, but its types do not say so.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module
