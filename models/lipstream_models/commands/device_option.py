"""The option `--device` of the commands that run a model."""

from __future__ import annotations

from typing import Annotated

import torch
import typer

from ..device.selection import describe_device, select_device

Device = Annotated[
    str,
    typer.Option(
        help="Device that runs the model: auto (CUDA if there is a GPU, else the CPU), cpu, cuda or cuda:N."
    ),
]


def announce_device(name: str) -> torch.device:
    """Return the device with this name after printing it to stderr. Raises DeviceError."""
    device = select_device(name)
    typer.echo(f"device: {describe_device(device)}", err=True)
    return device
