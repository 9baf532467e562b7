"""`lipstream convert`: Hallo's weights as safetensors in half precision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from ..checkpoints.convert import convert

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def convert_command(
    directory: Annotated[Path, typer.Argument(help="Directory in Hallo's layout.")],
    out: Annotated[Path, typer.Argument(help="New directory, for --model.")],
    dtype: Annotated[Literal["fp16", "bf16"], typer.Option(help="Number format of the weights.")] = "fp16",
) -> None:
    """Convert Hallo's weights to safetensors in half precision."""
    convert(directory, out, DTYPES[dtype], _print_progress)
    typer.echo(f"{out}: converted; use it with --model {out}")


def _print_progress(name: str, done: int, total: int) -> None:
    if done == total or done % 200 == 0:
        typer.echo(f"{name}: {done}/{total} tensors", err=True)
