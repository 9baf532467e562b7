"""Values that the pipeline works on: encoded portraits, and the state of a stream between two windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from .conditioning import IdentityTokens
from .networks.conditions import SessionConditions
from .portrait import Portrait
from .sampling import Sampling


@dataclass(frozen=True, eq=False)
class EncodedPortrait:
    """A portrait with everything that is computed from it once, for all of its streams.

    Attributes:
        portrait: the prepared portrait.
        image: its pixels (1, 3, H, W) in [-1, 1].
        latents: its latents (1, C, h, w).
        identity: identity tokens (1, T, cross) of both guidance branches.
        face_region: image of the face rectangle (1, 3, H, W) in [0, 1].
        masks: for each level (1, 1, h*w, 3), weights of the full frame, the face and the lips.
        foreground: token indices (L,) of the face at the finest level.
    """

    portrait: Portrait
    image: Tensor
    latents: Tensor
    identity: IdentityTokens
    face_region: Tensor
    masks: tuple[Tensor, ...]
    foreground: Tensor


@dataclass(frozen=True, eq=False)
class PipelineState:
    """State of one stream between two windows.

    Attributes:
        portrait: the encoded portrait.
        sampling: how its windows are denoised.
        session: conditions that are constant over the stream.
        motion: latents (1, M, C, h, w) of the last frames.
        windows: number of windows generated so far.
        motion_features: reference features of ``motion`` by layer, if they were prefetched.
    """

    portrait: EncodedPortrait
    sampling: Sampling
    session: SessionConditions
    motion: Tensor
    windows: int = 0
    motion_features: Mapping[str, Tensor] | None = None
