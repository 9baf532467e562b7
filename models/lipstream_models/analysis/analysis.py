"""What a model's features and attentions do over the steps of a clip: the paper's figures 1, 2 and 4 for any model.

From them follow key steps (where f_U31 changes), the threshold of input latents estimation (from where latents move and the
predicted noise does not) and whether attention may stay inside the face.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lipstream_accel.sampling_trace import (
    StepRecord,
    cosine,
    distance,
    trace_sampling,
)
from lipstream_accel.schedule import Schedule

from ..networks.blocks import AttentionOutputs
from ..networks.conditions import Conditions, KeyValue
from ..networks.denoiser import Denoiser

KINDS = ("reference", "audio", "temporal")


@dataclass
class Analysis:
    """One number a step; those that compare a step with the one before it have NaN at the first.

    feature_distance, feature_cosine: of f_U31 (figure 1). foreground_attention: shares of the attention of the face's tokens in
    the last layer, by what they look at (figure 2). background_change: mean absolute change of the last layer's attention
    outputs outside the face, by kind, over their mean size. latents_distance, noise_distance: of the latents that a step gets,
    and of the noise (or velocity) that it predicts (figure 4).
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
    """Samples one clip in full and watches. conditions: projected; foreground: token indices (L,) of the face."""
    found, before = Analysis(), None
    for seen in trace_sampling(denoiser, schedule, latents, conditions, guidance_scale):
        found.timesteps.append(seen.time)
        _compare(found, before, seen, conditions, foreground)
        for name, share in foreground_shares(denoiser, seen, conditions, foreground).items():
            found.foreground_attention.setdefault(name, []).append(share)
        before = seen
    return found


def _compare(
    found: Analysis, before: StepRecord | None, seen: StepRecord, conditions: Conditions, foreground: Tensor
) -> None:
    unknown = float("nan")
    pairs = [] if before is None else [(before.kept.f_u31, seen.kept.f_u31)]
    found.feature_distance.append(distance(*pairs[0]) if pairs else unknown)
    found.feature_cosine.append(cosine(*pairs[0]) if pairs else unknown)
    found.latents_distance.append(unknown if before is None else distance(before.latents, seen.latents))
    found.noise_distance.append(unknown if before is None else distance(before.direction, seen.direction))
    for kind in KINDS:
        change = unknown
        if before is not None:
            old, new = (_outside(each.kept.background, kind, foreground) for each in (before, seen))
            change = float((new - old).abs().mean() / old.abs().mean())
        found.background_change.setdefault(kind, []).append(change)


def _outside(outputs: object, kind: str, foreground: Tensor) -> Tensor:
    """Attention outputs of the tokens that are not the face's."""
    assert isinstance(outputs, AttentionOutputs)
    value = outputs.temporal[-1] if kind == "temporal" else getattr(outputs, kind)
    tokens = value.shape[1]
    outside = torch.ones(tokens, dtype=torch.bool, device=value.device)
    outside[foreground] = False
    rest: Tensor = value[:, outside].float()
    return rest


def foreground_shares(
    denoiser: Denoiser, seen: StepRecord, conditions: Conditions, foreground: Tensor
) -> dict[str, float]:
    """Where the face's tokens look in the last layer's reference attention: shares that add up to 1.

    Of the conditional rows' first frame, which all others resemble, so that the attention fits into memory at any size.
    """
    attention, normed = denoiser.last_attention(seen.rows, seen.kept.f_u31, seen.time, conditions)
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
    """Mean attention that the keys get: (1, L, C), (1, K, C) -> (K,), which add up to 1."""
    q, k = (torch.unflatten(x.float(), -1, (heads, -1)).transpose(1, 2) for x in (query, key))
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
    return weights.mean(dim=(0, 1, 2))
