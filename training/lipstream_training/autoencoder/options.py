"""Options of an autoencoder training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..optimisation.loop import LoopOptions


@dataclass(frozen=True)
class AutoencoderTraining:
    """Options of an autoencoder training.

    Attributes:
        steps: Updates in all.
        batch: Crops per step and worker.
        crop: Pixels per side of a crop.
        learning_rate: Peak learning rate of the decoder.
        inverse_rate: Peak learning rate of the linear inverse, which starts at the best linear map.
        warmup: Steps over which the learning rate rises.
        face_weight: Extra weight of a pixel of the face.
        mouth_weight: Extra weight of a pixel of the mouth.
        latent_noise: Largest standard deviation of noise on the latents.
        average_decay: Decay of the moving average of the weights.
        log_every: Steps between two lines of the training curve.
        validate_every: Steps between two validations.
        save_every: Steps between two checkpoints; on a CPU new clips are looked for then, too.
        max_minutes: Time after which training stops, resumably.
    """

    steps: int = 12000
    batch: int = 6
    crop: int = 128
    learning_rate: float = 1.5e-3
    inverse_rate: float = 1e-4
    warmup: int = 100
    face_weight: float = 3.0
    mouth_weight: float = 8.0
    latent_noise: float = 0.02
    average_decay: float = 0.998
    log_every: int = 50
    validate_every: int = 250
    save_every: int = 250
    max_minutes: float = math.inf

    def rate_factor(self, step: int) -> float:
        """Return the factor on the learning rates: linear warm-up, then a cosine down to a twentieth."""
        rise = min(1.0, (step + 1) / self.warmup)
        return rise * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, step / self.steps))))

    def loop(self) -> LoopOptions:
        """Return the options of the training loop."""
        return LoopOptions(self.steps, self.log_every, self.validate_every, self.save_every, self.max_minutes)
