"""Short fits of small networks whose data is in memory: AdamW with a one-cycle learning rate (Smith & Topin 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class OneCycle:
    """Number of steps, peak learning rate, weight decay and rows of a batch."""

    steps: int
    learning_rate: float
    weight_decay: float
    batch: int = 512


def fit_one_cycle(
    module: nn.Module,
    loss: Callable[[Tensor, int], Tensor],
    count: int,
    options: OneCycle,
    after_step: Callable[[int, Tensor], None] = lambda step, loss: None,
) -> None:
    """Train a module on random batches.

    Args:
        module: The module to train.
        loss: Maps the rows (B,) of a batch and the step to a scalar loss with gradients.
        count: Number of rows to draw from.
        options: Steps, rate and batch size.
        after_step: Called after each update with the number of updates made and the last loss.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), options.learning_rate, weight_decay=options.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=options.steps
    )
    for step in range(options.steps):
        value = loss(torch.randint(count, (options.batch,)), step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        after_step(step + 1, value.detach())
