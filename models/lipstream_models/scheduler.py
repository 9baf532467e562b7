"""Noise schedules: from a model's scheduler configuration to accel's `DDIMSchedule`."""

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
    """Return the cumulative product of 1 - beta for each training timestep: (num_train_timesteps,) float32."""
    scheduler = DDIMScheduler(**asdict(config or SchedulerConfig()))
    return torch.as_tensor(scheduler.alphas_cumprod, dtype=torch.float32)  # type: ignore[attr-defined]


def ddim_schedule(config: SchedulerConfig, steps: int, last: int = 0) -> DDIMSchedule:
    """Return the steps that diffusers' DDIMScheduler takes with this configuration, down to timestep ``last``.

    Raises ValueError for any configuration but trailing spacing with v-prediction (Hallo's checkpoints) or with
    prediction of the clean sample (the bundled model).
    """
    kind: PredictionType | None = _PREDICTION_TYPES.get(config.prediction_type)
    if config.timestep_spacing != "trailing" or kind is None:
        raise ValueError(
            "expected a scheduler with prediction_type 'v_prediction' or 'sample' and timestep_spacing 'trailing', got "
            f"{config.prediction_type!r} and {config.timestep_spacing!r}"
        )
    return DDIMSchedule.trailing(alphas_cumprod(config).tolist(), steps, kind, last)
