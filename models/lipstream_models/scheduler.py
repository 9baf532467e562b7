"""The noise schedule of a model, from diffusers' scheduler to accel's arithmetic."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from lipstream_accel.schedule import DDIMSchedule, PredictionType

from .config import SchedulerConfig

_PREDICTION_TYPES: dict[str, PredictionType] = {kind: kind for kind in get_args(PredictionType)}


def alphas_cumprod(config: SchedulerConfig | None = None) -> Tensor:
    """(num_train_timesteps,) float32: how much of the clean latents' variance is left at each timestep."""
    scheduler = DDIMScheduler(**asdict(config or SchedulerConfig()))
    return torch.as_tensor(scheduler.alphas_cumprod, dtype=torch.float32)  # type: ignore[attr-defined]


def ddim_schedule(config: SchedulerConfig, steps: int, last: int = 0) -> DDIMSchedule:
    """The steps that diffusers' DDIMScheduler would take with this configuration, down to timestep ``last``.

    Raises ValueError for a configuration other than trailing spacing with v-prediction, as Hallo's checkpoints have it, or with
    prediction of the clean sample, as the bundled model has it.
    """
    kind: PredictionType | None = _PREDICTION_TYPES.get(config.prediction_type)
    if config.timestep_spacing != "trailing" or kind is None:
        raise ValueError(
            "expected a scheduler with prediction_type 'v_prediction' or 'sample' and timestep_spacing 'trailing', got "
            f"{config.prediction_type!r} and {config.timestep_spacing!r}"
        )
    return DDIMSchedule.trailing(alphas_cumprod(config).tolist(), steps, kind, last)
