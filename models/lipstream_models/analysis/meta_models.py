"""Models at their full size on the device "meta": shapes and FLOPs of a clip, without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.price import Price, price

from ..autoencoders.patch_autoencoder import FACTOR
from ..bundled import read_shape
from ..bundled.bundle import SIDE
from ..conditioning import (
    IdentityTokens,
    build_session_conditions,
    build_window_conditions,
    motion_features,
)
from ..config import NetworkConfig, SchedulerConfig
from ..errors import LipstreamError
from ..model import SamplingDefaults
from ..networks import Network
from ..networks.conditions import Conditions
from ..scheduler import ddim_schedule

MODELS = ("hallo", "bundled")
# The share of the picture that the paper's FLOPs say the face had on Hallo (saving of 2.28 TFLOP a step).
FACE_SHARE = 0.43


@dataclass(frozen=True)
class FullSize:
    """A model as far as cost goes. side: of the latents; defaults: its steps, guidance and frames a clip."""

    name: str
    network: NetworkConfig
    side: int
    defaults: SamplingDefaults
    scheduler: SchedulerConfig

    @property
    def tokens(self) -> int:
        """Tokens of a frame at the last layer."""
        return self.side**2


def full_size(name: str) -> FullSize:
    """The model of that name. Raises LipstreamError for a name that is not in ``MODELS``."""
    if name == "hallo":
        defaults = SamplingDefaults(steps=40, guidance=3.5, window=16)
        return FullSize(name, NetworkConfig(), 64, defaults, SchedulerConfig())
    if name == "bundled":
        network, defaults, scheduler = read_shape()
        return FullSize(name, network, SIDE // FACTOR, defaults, scheduler)
    raise LipstreamError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")


def price_plan(plan: Plan, model: FullSize, face: float = FACE_SHARE) -> Price:
    """What one clip costs by this plan, with the model's own guidance; face: share of the tokens that are foreground."""
    if not 0 < face <= 1:
        raise LipstreamError(f"the face's share must be above 0 and at most 1, got {face}")
    guidance, window = model.defaults.guidance, model.defaults.window
    schedule = ddim_schedule(model.scheduler, plan.steps)
    with torch.device("meta"):
        latents = torch.empty(1, model.network.sample_channels, window, model.side, model.side)
        foreground = torch.empty(max(1, int(face * model.tokens)), dtype=torch.long)
        network = _network(model.network)
        conditions = conditions_of(model, network, torch.empty, guidance > 1, plan.exact)
    return price(network.denoising_unet, plan, schedule, latents, conditions, guidance, foreground)


def compare(plan: Plan, model: FullSize, face: float = FACE_SHARE) -> dict[str, Price]:
    """The plan at the released cost and on exact code, and what the same number of steps costs in full as released."""
    base = Plan.from_keys("base", plan.steps, range(plan.steps), exact=False)
    return {
        "as released": price_plan(plan.as_released(), model, face),
        "exact": price_plan(plan.on_exact_code(), model, face),
        "base": price_plan(base, model, face),
    }


@cache
def _network(config: NetworkConfig) -> Network:
    with torch.device("meta"):
        return Network(config).eval().requires_grad_(False)


@torch.no_grad()
def conditions_of(
    model: FullSize,
    network: Network,
    some: Callable[..., Tensor],
    guided: bool,
    project: bool,
    batch: int = 1,
) -> Conditions:
    """Conditions of one clip of `batch` sessions, whose content is what `some(*shape)` returns."""
    config, side = model.network, model.side
    tokens = (batch, config.identity_projection.tokens, config.cross_attention_dim)
    identity = IdentityTokens(some(*tokens), some(*tokens))
    region = side * 2 ** (len(config.face_locator_channels) - 1)
    session = build_session_conditions(
        network,
        some(batch, config.latent_channels, side, side),
        identity,
        [some(1, 1, (side >> level) ** 2, 3) for level in range(config.levels)],
        some(1, 3, region, region).expand(batch, -1, -1, -1),
        guided=guided,
        project=project,
    )
    past = some(batch, config.motion_frames, config.latent_channels, side, side)
    motion = motion_features(network, past, identity, guided) if config.motion_frames else None
    audio = config.audio_projection
    heard = some(batch, model.defaults.window, audio.context_tokens, audio.output_dim)
    return build_window_conditions(network, session, heard, motion)
