"""What guidance adds to a finished model's prediction, for a model that is to need none (Meng et al. 2023).

A model that was taught so gives in one evaluation a step what its teacher gives in two, and its guidance scale is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lipstream_models.precision import autocast

from .latent_dataset import Windows, joined


@dataclass(frozen=True)
class Guide:
    """teacher: predicts clean latents of windows, its first ``unconditional`` rows without sound and portrait; it is not trained.
    scale: the guidance scale that is taught.
    """

    teacher: Callable[[Windows, Tensor, Tensor, int], Tensor]
    scale: float

    @torch.no_grad()
    def push(self, windows: Windows, noisy: Tensor, timestep: Tensor, unconditional: int) -> Tensor:
        """(s - 1)(c - u) in the shape of ``noisy`` (B, C, F, h, w): what is added to the clean latents that the conditional rows
        learn; zero for the first ``unconditional`` rows.

        The mean of those targets is c + (s - 1)(c - u) = u + s (c - u), so that a student goes on learning from the clips too.
        """
        rows = len(noisy)
        both = joined([windows, windows])
        with autocast(noisy.device):
            prediction = self.teacher(both, noisy.repeat(2, 1, 1, 1, 1), timestep.repeat(2), rows)
        without, heard = prediction.float().chunk(2)
        push = (self.scale - 1) * (heard - without)
        push[:unconditional] = 0
        return push
