"""Options of a diffusion training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..data.training_windows import WindowOptions
from ..optimisation.loop import LoopOptions


@dataclass(frozen=True)
class DiffusionTraining:
    """Options of a diffusion training.

    Two steps in three show ``crop`` x ``crop`` tokens around the mouth, of twice as many frames: a quarter of the
    work for each frame, and everything that there is to learn about lips. The networks have no notion of position,
    so they do the same on whole frames; every third step keeps them used to those.

    Attributes:
        steps: Updates in all.
        frames_per_step: Frames per step and worker.
        window_frames: Lengths of the windows, which take turns.
        crop: Tokens per side of the crops.
        learning_rate: Peak learning rate.
        warmup: Steps over which the learning rate rises.
        unconditional_share: Share of the windows that are trained without conditions.
        timestep_shift: See `sample_timesteps`.
        weight_cap: Largest weight of a timestep.
        average_decay: Decay of the moving average of the weights.
        log_every: Steps between two lines of the training curve.
        validate_every: Steps between two validations.
        save_every: Steps between two checkpoints.
        max_minutes: Time after which training stops, resumably.
        windows: How windows are drawn.
    """

    steps: int = 20000
    frames_per_step: int = 24
    window_frames: tuple[int, ...] = (4, 8, 4, 16, 4, 12, 8)
    crop: int = 8
    learning_rate: float = 2e-3
    warmup: int = 60
    unconditional_share: float = 0.1
    timestep_shift: float = 4.0
    weight_cap: float = 3.0
    average_decay: float = 0.995
    log_every: int = 20
    validate_every: int = 200
    save_every: int = 50
    max_minutes: float = math.inf
    windows: WindowOptions = field(default_factory=WindowOptions)

    def rate_factor(self, step: int) -> float:
        """Return the factor on the learning rate: linear warm-up, flat, linear decay over the last quarter."""
        rise = min(1.0, (step + 1) / self.warmup)
        fall = min(1.0, max(0.05, (self.steps - step) / (0.25 * self.steps)))
        return min(rise, fall)

    def loop(self) -> LoopOptions:
        """Return the options of the training loop."""
        return LoopOptions(self.steps, self.log_every, self.validate_every, self.save_every, self.max_minutes)
