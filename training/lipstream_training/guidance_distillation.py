"""What guidance adds to a finished model's prediction, for a model that is to need none (Meng et al. 2023).

A model that was taught so gives in one evaluation a step what its teacher gives in two, and its guidance scale is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lipstream_models.bundled import read_bundled
from lipstream_models.memory_format import channels_last
from lipstream_models.precision import autocast

from .trainee import Trainee
from .training_windows import Windows, joined


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


def guide_from(path: Path, scale: float, device: str) -> Guide:
    """The guidance of a bundled model's file. Raises LipstreamError when it is not such a file."""
    teacher = channels_last(Trainee(read_bundled(path).network)).to(device).requires_grad_(False)
    return Guide(teacher, scale)
