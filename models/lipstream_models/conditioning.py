"""Conditions of the denoiser, from portrait latents, face embedding, masks and audio tokens.

With guidance, rows are [unconditional streams..., conditional streams...]. As in Hallo, the unconditional branch has
no reference tokens, zeros in place of projected audio, the identity projection of the zero vector, and a zero
face-locator feature. Both branches see the motion frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .networks import Network
from .networks.conditions import Conditions, SessionConditions


@dataclass(frozen=True)
class IdentityTokens:
    """Identity tokens (B, T, cross) of both guidance branches."""

    unconditional: Tensor
    conditional: Tensor

    def rows(self, guided: bool) -> Tensor:
        """Return tokens (rows, T, cross), unconditional rows first."""
        return torch.cat([self.unconditional, self.conditional]) if guided else self.conditional


def identity_tokens(network: Network, embedding: Tensor) -> IdentityTokens:
    """Project face embeddings (B, 512), which are not normalised, to identity tokens."""
    return IdentityTokens(network.imageproj(torch.zeros_like(embedding)), network.imageproj(embedding))


def reference_identity(
    identity: IdentityTokens, branch: int, image: int, images: int, *, tiled: bool
) -> Tensor:
    """Return identity tokens (B, T, cross) that the reference network gets with one image of one branch.

    Hallo runs the network on [source, m1, m2 | source, m1, m2], unconditional half first, but tiles the pair of
    identity tokens as u, c, u, c, ... (models/README.md, trap 4): some motion frames get the identity of the other
    branch.

    Args:
        identity: tokens of both branches.
        branch: 0 unconditional, 1 conditional.
        image: index of the image within its half.
        images: images in each half.
        tiled: keep Hallo's order; otherwise every image gets the identity of its own branch.
    """
    tokens = (branch * images + image) % 2 if tiled else branch
    return (identity.unconditional, identity.conditional)[tokens]


def source_features(
    network: Network, latents: Tensor, identity: IdentityTokens, guided: bool
) -> dict[str, Tensor]:
    """Return reference features of portraits, which are constant over a stream.

    Only the conditional branch reads them. In Hallo with guidance, it reads the features of both branches in turn,
    frame by frame, because `mutual_self_attention.py` tiles a three-dimensional tensor. So there are two variants
    (unconditional and conditional identity) with guidance and `tiled_identity`, otherwise one.

    Args:
        network: the networks.
        latents: portraits (B, L, h, w).
        identity: tokens of both branches.
        guided: whether guidance is on.

    Returns:
        For each layer (B, variants, h*w, C).
    """
    config = network.config
    if guided and config.tiled_identity:
        images = 1 + config.motion_frames
        tokens = torch.stack([reference_identity(identity, b, 0, images, tiled=True) for b in (0, 1)], dim=1)
    else:
        tokens = identity.conditional[:, None]
    batch, variants = tokens.shape[:2]
    features = network.reference_unet(latents.repeat_interleave(variants, dim=0), tokens.flatten(0, 1))
    return {name: feature.unflatten(0, (batch, variants)) for name, feature in features.items()}


def motion_features(
    network: Network, latents: Tensor, identity: IdentityTokens, guided: bool
) -> dict[str, Tensor]:
    """Return reference features of motion frames: (B, M, L, h, w) -> for each layer (rows, M, h*w, C)."""
    batch, motion = latents.shape[:2]
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
    ]  # for each branch (B, M, T, cross)
    images = latents.flatten(0, 1).repeat(len(branches), 1, 1, 1)
    features = network.reference_unet(images, torch.cat(tokens).flatten(0, 1))
    return {name: feature.unflatten(0, (len(branches) * batch, motion)) for name, feature in features.items()}


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
    """Return the conditions that are constant over B streams.

    Args:
        network: the networks.
        latents: portraits (B, L, h, w).
        identity: tokens of both branches.
        masks: for each level (B|1, F|1, h*w, 3), weights of the full frame, the face and the lips.
        face_region: image of the face rectangle (B, 3, H, W) in [0, 1].
        guided: whether guidance is on.
        motion_scale: weight of audio attention in each region.
        project: False keeps conditions unprojected, for steps at the cost of the released code
            (`networks.unprojected_conditions`).
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
    """Add a window's audio tokens (B, F, T, C), from `network.audioproj`, and motion features to the session's conditions."""
    if session.unconditional:
        audio_tokens = torch.cat([torch.zeros_like(audio_tokens), audio_tokens])
    return network.denoising_unet.prepare_window(session, audio_tokens, motion)
