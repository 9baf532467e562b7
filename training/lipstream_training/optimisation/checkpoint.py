"""Training state and training curves on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state atomically: a reader finds the old file or the new one, never a part."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.rename(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Return the saved state, or None where there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def require_state(path: Path, remedy: str) -> dict[str, Any]:
    """Return the saved state.

    Args:
        path: The file of the state.
        remedy: What has to be done to get the file, for the error message.

    Raises:
        FileNotFoundError: There is no such file.
    """
    state = load_state(path)
    if state is None:
        raise FileNotFoundError(f"expected {path}, found none: {remedy}")
    return state


def averaged_weights(state: dict[str, Any], prefix: str) -> dict[str, Tensor]:
    """Return the state dict of the module below ``prefix``, with the averaged parameters of a training state."""
    weights = {**state["model"], **state["average"]}
    return {name.removeprefix(f"{prefix}."): value for name, value in weights.items()}


def append_metrics(path: Path, **metrics: float) -> None:
    """Append one JSON line to a training curve and print it."""
    line = json.dumps({name: round(value, 6) for name, value in metrics.items()})
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)
