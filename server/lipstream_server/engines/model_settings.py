"""Settings of the engine that runs a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelSettings:
    """Settings of the model and of how it is sampled.

    Attributes:
        model: Directory of Hallo weights; None for the bundled model.
        device: `auto` (CUDA, then CPU), `cpu`, `cuda` or `cuda:N`.
        plan: JSON file of a plan, which becomes the default preset.
        steps: Sampling steps; None for the model's own number.
        guidance: Guidance scale; None for the model's own.
        seed: Seed of the noise of live sessions.
        idle_windows: Windows of silence that are played while nobody speaks.
    """

    model: Path | None = None
    device: str = "auto"
    plan: Path | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int = 0
    idle_windows: int = 2
