"""Models at full size on the device "meta": shapes and FLOPs of a window, without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.price import Price, price

from ..autoencoders.patch_autoencoder import FACTOR
from ..bundled import read_bundled_configs
from ..bundled.bundle import FRAME_SIZE
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
FACE_SHARE = 0.43
"""Share of the frame that the face covers, by LightningCP's FLOPs for Hallo (2.28 TFLOP saved a step)."""


@dataclass(frozen=True)
class MetaModel:
    """Sizes of a model that determine its cost.

    Attributes:
        name: Its name.
        network: Sizes of the network.
        side: Side of the latents.
        defaults: Steps, guidance scale and frames of a window.
        scheduler: Noise schedule.
    """

    name: str
    network: NetworkConfig
    side: int
    defaults: SamplingDefaults
    scheduler: SchedulerConfig

    @property
    def tokens(self) -> int:
        """Tokens of a frame at the last layer."""
        return self.side**2


def meta_model(name: str) -> MetaModel:
    """Return the model of a name in `MODELS`.

    Raises:
        LipstreamError: There is no such model.
    """
    if name == "hallo":
        defaults = SamplingDefaults(steps=40, guidance=3.5, window=16)
        return MetaModel(name, NetworkConfig(), 64, defaults, SchedulerConfig())
    if name == "bundled":
        network, defaults, scheduler = read_bundled_configs()
        return MetaModel(name, network, FRAME_SIZE // FACTOR, defaults, scheduler)
    raise LipstreamError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")


def price_plan(plan: Plan, model: MetaModel, face: float = FACE_SHARE) -> Price:
    """Count the FLOPs of one window by a plan, with the model's own guidance scale.

    Args:
        plan: How the window is sampled.
        model: The model.
        face: Share of the tokens that the face covers.

    Raises:
        LipstreamError: `face` is not above 0 and at most 1.
    """
    if not 0 < face <= 1:
        raise LipstreamError(f"expected a share of the face above 0 and at most 1, got {face}")
    guidance, window = model.defaults.guidance, model.defaults.window
    schedule = ddim_schedule(model.scheduler, plan.steps)
    with torch.device("meta"):
        latents = torch.empty(1, model.network.sample_channels, window, model.side, model.side)
        foreground = torch.empty(max(1, int(face * model.tokens)), dtype=torch.long)
        network = _network(model.network)
        conditions = build_conditions(model, network, torch.empty, guidance > 1, plan.project_once)
    return price(network.denoising_unet, plan, schedule, latents, conditions, guidance, foreground)


def compare_costs(plan: Plan, model: MetaModel, face: float = FACE_SHARE) -> dict[str, Price]:
    """Return the costs of a plan as released and on exact code, and of as many full steps as released."""
    base = Plan.from_keys("base", plan.steps, range(plan.steps), project_once=False)
    return {
        "as released": price_plan(plan.as_released(), model, face),
        "exact": price_plan(plan.with_conditions_projected_once(), model, face),
        "base": price_plan(base, model, face),
    }


@cache
def _network(config: NetworkConfig) -> Network:
    with torch.device("meta"):
        return Network(config).eval().requires_grad_(False)


@torch.no_grad()
def build_conditions(
    model: MetaModel,
    network: Network,
    tensor: Callable[..., Tensor],
    guided: bool,
    project: bool,
    batch: int = 1,
) -> Conditions:
    """Return the conditions of one window of `batch` sessions, whose values `tensor(*shape)` makes."""
    config, side = model.network, model.side
    tokens = (batch, config.identity_projection.tokens, config.cross_attention_dim)
    identity = IdentityTokens(tensor(*tokens), tensor(*tokens))
    region = side * 2 ** (len(config.face_locator_channels) - 1)
    session = build_session_conditions(
        network,
        tensor(batch, config.latent_channels, side, side),
        identity,
        [tensor(1, 1, (side >> level) ** 2, 3) for level in range(config.levels)],
        tensor(1, 3, region, region).expand(batch, -1, -1, -1),
        guided=guided,
        project=project,
    )
    past = tensor(batch, config.motion_frames, config.latent_channels, side, side)
    motion = motion_features(network, past, identity, guided) if config.motion_frames else None
    audio = config.audio_projection
    features = tensor(batch, model.defaults.window, audio.context_tokens, audio.output_dim)
    return build_window_conditions(network, session, features, motion)
