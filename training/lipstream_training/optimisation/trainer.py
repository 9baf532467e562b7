"""A module with its optimisers and the moving average of its weights; all of it can be saved and resumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from .workers import Workers

MAX_GRADIENT_NORM = 1.0

Tensors = tuple[Tensor, ...] | list[Tensor]


class Trainer:
    """Updates a module and the exponential moving average of its parameters.

    The average is what is validated and exported.

    Args:
        module: The module to train, on its device. Parameters that need no gradient are left alone.
        optimizers: Optimisers over the module's parameters, with the peak learning rate of each group.
        rate_factor: Maps a step to the factor on the peak learning rates.
        average_decay: Decay of the moving average.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        rate_factor: Callable[[int], float],
        average_decay: float,
    ) -> None:
        self.module = module
        self.optimizers = optimizers
        self.rate_factor = rate_factor
        self.average_decay = average_decay
        self.step = 0
        self.trained = [p for p in module.parameters() if p.requires_grad]
        # Read before a state is loaded: a resumed training uses the rates that it is given, not the saved ones.
        self._peak_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
        self._average = AveragedModel(module, multi_avg_fn=self._move_average)
        self._average.eval()

    @property
    def averaged(self) -> nn.Module:
        """The module with averaged parameters, in evaluation mode."""
        return self._average.module

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed training needs."""
        return {
            "step": self.step,
            "model": self.module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.averaged.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; one without optimiser states starts the optimisers anew."""
        self.step = int(state["step"])
        self.module.load_state_dict(state["model"])
        for optimizer, values in zip(self.optimizers, state.get("optimizers", []), strict=False):
            optimizer.load_state_dict(values)
        self.averaged.load_state_dict({**state["model"], **state["average"]})
        self._average.n_averaged.fill_(self.step)

    def update(self, loss: Tensor, workers: Workers) -> None:
        """Make one update from the gradients of a scalar loss, averaged over the workers."""
        factor = self.rate_factor(self.step)
        for optimizer, rates in zip(self.optimizers, self._peak_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        self.module.zero_grad(set_to_none=True)
        loss.backward()
        workers.average_gradients(self.trained)
        nn.utils.clip_grad_norm_(self.trained, MAX_GRADIENT_NORM)
        for optimizer in self.optimizers:
            optimizer.step()
        self._average.update_parameters(self.module)
        self.step += 1

    @torch.no_grad()
    def _move_average(self, averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        """Move averaged parameters towards the current ones, in place.

        The step is used instead of ``count``, which lies on the device: reading it would wait for the GPU.
        """
        # The average follows quickly at first, so that the initial weights do not dominate a short run.
        decay = min(self.average_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(averaged, current, 1 - decay)
