"""From portrait latents, a face embedding, masks and audio to conditions, with or without guidance.

With guidance the rows are [unconditional clips..., conditional clips...]. The unconditional branch sees no
reference tokens, zeros after the audio projection, the identity projection of the zero vector and a zero
face-locator feature (facts 0.6, 1.1). Motion frames are seen by both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .networks import Network
from .networks.conditions import Conditions, SessionConditions


@dataclass(frozen=True)
class IdentityTokens:
    """IdentityTokens tokens (clips, T, cross) of both branches."""

    unconditional: Tensor
    conditional: Tensor

    def rows(self, guided: bool) -> Tensor:
        return torch.cat([self.unconditional, self.conditional]) if guided else self.conditional


def identity_tokens(network: Network, embedding: Tensor) -> IdentityTokens:
    """embedding: (clips, 512), not normalised."""
    return IdentityTokens(network.imageproj(torch.zeros_like(embedding)), network.imageproj(embedding))


def reference_identity(
    identity: IdentityTokens, branch: int, image: int, images: int, *, tiled: bool
) -> Tensor:
    """IdentityTokens tokens that the reference net sees with one image of one guidance branch (0 unconditional, 1
    conditional).

    Hallo runs the net on [source, m1, m2 | source, m1, m2] (unconditional half first) but tiles the pair of
    identity tokens as u, c, u, c, ... (facts 0, trap 4), so that motion frames partly see the other
    branch's identity. `tiled` keeps that; without it every image sees the identity of its own branch.
    """
    own = (branch * images + image) % 2 if tiled else branch
    return (identity.unconditional, identity.conditional)[own]


def source_features(
    network: Network, latents: Tensor, identity: IdentityTokens, guided: bool
) -> dict[str, Tensor]:
    """Reference features of portraits: latents (clips, L, h, w) -> per layer (clips, variants, h*w, C).
    Constant over a session.

    Only the conditional branch reads them. In Hallo with guidance it reads those of both branches in turn,
    frame by frame, because `mutual_self_attention.py` repeats a three-dimensional tensor along four; so
    there are two variants (unconditional, conditional identity) with `tiled_identity` and guidance, else
    one.
    """
    config = network.config
    if guided and config.tiled_identity:
        images = 1 + config.motion_frames
        tokens = torch.stack([reference_identity(identity, b, 0, images, tiled=True) for b in (0, 1)], dim=1)
    else:
        tokens = identity.conditional[:, None]
    clips, variants = tokens.shape[:2]
    features = network.reference_unet(latents.repeat_interleave(variants, dim=0), tokens.flatten(0, 1))
    return {name: feature.unflatten(0, (clips, variants)) for name, feature in features.items()}


def motion_features(
    network: Network, latents: Tensor, identity: IdentityTokens, guided: bool
) -> dict[str, Tensor]:
    """Reference features of motion frames: (clips, motion, L, h, w) -> per layer (rows, motion, h*w, C)."""
    clips, motion = latents.shape[:2]
    branches = (0, 1) if guided else (1,)
    tokens = [
        torch.stack(
            [
                reference_identity(identity, branch, 1 + m, 1 + motion, tiled=network.config.tiled_identity)
                if guided
                else identity.conditional
                for m in range(motion)
            ],
            dim=1,
        )
        for branch in branches
    ]  # per branch (clips, motion, T, cross)
    images = latents.flatten(0, 1).repeat(len(branches), 1, 1, 1)
    features = network.reference_unet(images, torch.cat(tokens).flatten(0, 1))
    return {name: feature.unflatten(0, (len(branches) * clips, motion)) for name, feature in features.items()}


def build_session_conditions(
    network: Network,
    latents: Tensor,
    identity: IdentityTokens,
    masks: Sequence[Tensor],
    face_region: Tensor,
    *,
    guided: bool,
    motion_scale: Sequence[float] = (1.0, 1.0, 1.0),
    project: bool = True,
) -> SessionConditions:
    """What stays constant over a session. latents: (clips, L, h, w) of the portraits; masks: per level
    (clips|1, frames|1, h*w, 3); face_region: (clips, 3, H, W) in 0..1; project:
    False keeps conditions raw, for steps at the released cost (see `raw_conditions`).
    """
    face = network.face_locator(face_region)[:, None]
    if guided:
        face = torch.cat([torch.zeros_like(face), face])
        masks = [torch.cat([mask, mask]) if mask.shape[0] > 1 else mask for mask in masks]
    return network.denoising_unet.prepare_session(
        source_features(network, latents, identity, guided),
        identity.rows(guided),
        masks,
        face,
        unconditional=latents.shape[0] if guided else 0,
        motion_scale=motion_scale,
        project=project,
    )


def build_window_conditions(
    network: Network,
    session: SessionConditions,
    audio_tokens: Tensor,
    motion: Mapping[str, Tensor] | None,
) -> Conditions:
    """Add a clip's audio tokens (clips, frames, T, C), from `network.audioproj`, and its motion features."""
    if session.unconditional:
        audio_tokens = torch.cat([torch.zeros_like(audio_tokens), audio_tokens])
    return network.denoising_unet.prepare_window(session, audio_tokens, motion)
