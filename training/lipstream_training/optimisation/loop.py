"""The training loop that the autoencoder and the diffusion model share: budget, logging, validation, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoint import append_metrics, load_state, save_state
from .trainer import Trainer
from .workers import ALONE, Workers


@dataclass(frozen=True)
class LoopOptions:
    """How long a training lasts, and after how many steps it reports and saves.

    Attributes:
        steps: Updates in all, those before a resume included.
        log_every: Steps between two lines of the training curve.
        validate_every: Steps between two validations; a multiple of ``log_every``.
        save_every: Steps between two checkpoints; the last step is always saved.
        max_minutes: Time after which this call saves and stops, to be resumed later.
    """

    steps: int
    log_every: int
    validate_every: int
    save_every: int
    max_minutes: float = math.inf


@dataclass(frozen=True)
class Objective:
    """What a training minimises.

    Attributes:
        loss: Maps a step and the seed of this worker's share of it to a scalar loss with gradients.
        validate: Maps the module with averaged weights to metrics for the training curve.
    """

    loss: Callable[[int, int], Tensor]
    validate: Callable[[nn.Module], dict[str, float]]


def run_training(
    trainer: Trainer,
    objective: Objective,
    run: Path,
    name: str,
    options: LoopOptions,
    workers: Workers = ALONE,
) -> None:
    """Train until the steps or the minutes are used up, from the run's checkpoint if there is one.

    Every worker computes the gradients of its own batch, all of them make the same update, and the first worker
    alone logs, validates and saves.

    Args:
        trainer: The module to train, with its optimisers.
        objective: The loss and the validation.
        run: Folder of the checkpoint ``{name}.pt`` and the training curve ``{name}.jsonl``.
        name: Name of the training.
        options: Steps, intervals and the time limit.
        workers: This process among those that train together.

    Raises:
        FloatingPointError: The loss is not finite; the last checkpoint is from before that.
    """
    if (state := load_state(run / f"{name}.pt")) is not None:
        trainer.load_state_dict(state)
    start, first = time.monotonic(), trainer.step
    total: Tensor | float = 0.0
    for step in range(first, options.steps):
        seed = step * workers.count + workers.rank
        torch.manual_seed(seed)
        loss = objective.loss(step, seed)
        trainer.update(loss, workers)
        total = total + loss.detach()
        seconds, done_steps = time.monotonic() - start, step + 1
        finished = workers.agree(done_steps == options.steps or seconds > options.max_minutes * 60)
        logs = done_steps % options.log_every == 0
        saves = done_steps % options.save_every == 0 or finished
        # Checked at intervals only: a GPU would have to finish every step for it.
        if (logs or saves) and not math.isfinite(total):
            raise FloatingPointError(
                f"expected a finite loss, got {float(total)} before step {done_steps}; "
                "give the command again to resume from the last checkpoint"
            )
        if workers.first and logs:
            metrics = {"loss": float(total) / min(options.log_every, done_steps - first), "seconds": seconds}
            if done_steps % options.validate_every == 0:
                metrics |= objective.validate(trainer.averaged)
            append_metrics(run / f"{name}.jsonl", step=done_steps, **metrics)
        if logs:
            total = 0.0
        if workers.first and saves:
            save_state(run / f"{name}.pt", trainer.state_dict())
        if finished:
            return
