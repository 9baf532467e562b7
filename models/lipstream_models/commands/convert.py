"""`lipstream convert DIR OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from ..checkpoints.convert import convert

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def convert_command(
    directory: Annotated[Path, typer.Argument(help="a directory in Hallo's layout")],
    out: Annotated[Path, typer.Argument(help="a new directory, for --model")],
    dtype: Annotated[Literal["fp16", "bf16"], typer.Option(help="half precision of the weights")] = "fp16",
) -> None:
    """Hallo's weights as safetensors in half precision."""
    convert(directory, out, DTYPES[dtype], _report)
    typer.echo(f"{out}: converted; use it with --model {out}")


def _report(name: str, done: int, total: int) -> None:
    if done == total or done % 200 == 0:
        typer.echo(f"{name}: {done}/{total} tensors", err=True)
