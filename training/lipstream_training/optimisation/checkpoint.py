"""Training state on disk: resumable at any step, replaced atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

DIFFUSION = "diffusion"
"""A run's diffusion model."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.rename(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """The saved state, or None where training has not begun."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def log_line(path: Path, **figures: float) -> None:
    """Appends one JSON line to the training curve and prints it."""
    line = json.dumps({name: round(value, 6) for name, value in figures.items()})
    with path.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


class MovingAverage:
    """Exponential moving average of a module's parameters; what is shipped and evaluated."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        # Early on the average follows quickly, so that a short run is not held back by its first weights.
        decay = min(self.decay, (1 + step) / (10 + step))
        # All at once: for each of hundreds by itself a GPU is waited for longer than it works.
        named = dict(module.named_parameters())
        values = [
            self.values[name] for name in named
        ]  # by name: a state that was loaded may be in another order
        torch._foreach_lerp_(values, [p.detach() for p in named.values()], 1 - decay)

    def state_for(self, module: torch.nn.Module) -> dict[str, torch.Tensor]:
        """A full state dict: averaged parameters, the module's own buffers."""
        return {**module.state_dict(), **self.values}
