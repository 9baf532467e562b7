"""Analysis of features and attentions over the steps of a clip: figures 1, 2 and 4 of LightningCP for any model.

They show where key steps belong (where f_U31 changes), the threshold of input latents estimation (from where on
latents move and the predicted noise does not), and whether attention may be limited to the face.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lipstream_accel.sampling_trace import (
    StepRecord,
    cosine_similarity,
    relative_distance,
    trace_sampling,
)
from lipstream_accel.schedule import Schedule

from ..networks.blocks import AttentionOutputs
from ..networks.conditions import Conditions, KeyValue
from ..networks.denoiser import Denoiser

KINDS = ("reference", "audio", "temporal")


@dataclass
class Analysis:
    """One number for each step; those that compare a step with the previous one are NaN at the first.

    Attributes:
        timesteps: Timestep of each step.
        feature_distance: Relative distance of f_U31 (figure 1).
        feature_cosine: Cosine similarity of f_U31 (figure 1).
        latents_distance: Relative distance of the input latents (figure 4).
        noise_distance: Relative distance of the predicted noise or velocity (figure 4).
        foreground_attention: Shares of the attention of the face tokens in the last layer, by key (figure 2).
        background_change: Mean absolute change of the last layer's attention outputs outside the face, over
            their mean size, by kind (figure 2).
    """

    timesteps: list[float] = field(default_factory=list)
    feature_distance: list[float] = field(default_factory=list)
    feature_cosine: list[float] = field(default_factory=list)
    latents_distance: list[float] = field(default_factory=list)
    noise_distance: list[float] = field(default_factory=list)
    foreground_attention: dict[str, list[float]] = field(default_factory=dict)
    background_change: dict[str, list[float]] = field(default_factory=dict)


@torch.no_grad()
def analyse(
    denoiser: Denoiser,
    schedule: Schedule,
    latents: Tensor,
    conditions: Conditions,
    guidance_scale: float,
    foreground: Tensor,
) -> Analysis:
    """Sample one clip with every step in full and analyse the steps.

    Args:
        denoiser: The network.
        schedule: The steps.
        latents: (B, C, F, h, w) noise.
        conditions: Projected conditions.
        guidance_scale: Weight of classifier-free guidance.
        foreground: (L,) indices of the face tokens.
    """
    analysis, previous = Analysis(), None
    for step in trace_sampling(denoiser, schedule, latents, conditions, guidance_scale):
        analysis.timesteps.append(step.time)
        _compare(analysis, previous, step, conditions, foreground)
        for name, share in foreground_shares(denoiser, step, conditions, foreground).items():
            analysis.foreground_attention.setdefault(name, []).append(share)
        previous = step
    return analysis


def _compare(
    analysis: Analysis,
    previous: StepRecord | None,
    step: StepRecord,
    conditions: Conditions,
    foreground: Tensor,
) -> None:
    unknown = float("nan")
    pairs = [] if previous is None else [(previous.key_step.f_u31, step.key_step.f_u31)]
    analysis.feature_distance.append(relative_distance(*pairs[0]) if pairs else unknown)
    analysis.feature_cosine.append(cosine_similarity(*pairs[0]) if pairs else unknown)
    analysis.latents_distance.append(
        unknown if previous is None else relative_distance(previous.latents, step.latents)
    )
    analysis.noise_distance.append(
        unknown if previous is None else relative_distance(previous.direction, step.direction)
    )
    for kind in KINDS:
        change = unknown
        if previous is not None:
            old, new = (_outside(each.key_step.background, kind, foreground) for each in (previous, step))
            change = float((new - old).abs().mean() / old.abs().mean())
        analysis.background_change.setdefault(kind, []).append(change)


def _outside(outputs: object, kind: str, foreground: Tensor) -> Tensor:
    """Return the attention outputs (B, N - L, C) of the tokens outside the face."""
    assert isinstance(outputs, AttentionOutputs)
    value = outputs.temporal[-1] if kind == "temporal" else getattr(outputs, kind)
    tokens = value.shape[1]
    outside = torch.ones(tokens, dtype=torch.bool, device=value.device)
    outside[foreground] = False
    rest: Tensor = value[:, outside].float()
    return rest


def foreground_shares(
    denoiser: Denoiser, step: StepRecord, conditions: Conditions, foreground: Tensor
) -> dict[str, float]:
    """Return shares of the face tokens' attention in the last reference attention, which add up to 1.

    Of the first frame of the conditional rows, which the others resemble, so that the attention fits into
    memory at any size.

    Args:
        denoiser: The network.
        step: A recorded step.
        conditions: Projected conditions.
        foreground: (L,) indices of the face tokens.
    """
    attention, normed = denoiser.last_attention(step.rows, step.key_step.f_u31, step.time, conditions)
    layer = conditions.layers[denoiser.layer_names[-1]]
    own = normed[-conditions.frames][None]  # the first frame of the last row
    key = attention.to_k(own)
    reference = layer.reference
    if isinstance(reference, KeyValue):
        key = torch.cat([key, reference.key[-1:, 0]], dim=1)
    query = attention.to_q(own)[:, foreground]
    weights = _weights(query, key, attention.heads)  # (keys,)
    tokens = own.shape[1]
    face = torch.zeros(tokens, dtype=torch.bool, device=own.device)
    face[foreground] = True
    parts = dict(zip(("noisy", "reference"), weights.split(tokens), strict=False))
    return {
        f"{where} {what}": float(part[chosen].sum())
        for what, part in parts.items()
        for where, chosen in (("face", face), ("background", ~face))
    }


def _weights(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """Return the mean attention to each key, which add up to 1: (1, L, C), (1, K, C) -> (K,)."""
    q, k = (torch.unflatten(x.float(), -1, (heads, -1)).transpose(1, 2) for x in (query, key))
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
    return weights.mean(dim=(0, 1, 2))
