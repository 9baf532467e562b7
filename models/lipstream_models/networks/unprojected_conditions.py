"""Conditions as in the released code of Hallo: unprojected, so that every step projects them again.

Results equal those of projected conditions up to rounding, at the cost of the released code: keys and values of
reference, identity and audio are computed at each step and frame; unconditional rows attend to reference tokens
whose result is discarded; audio regions have separate attentions; motion frames are carried through the whole motion
module. This is the baseline of speed measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

SelectRows = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class AudioRegions:
    """Audio regions: masks (rows|1, frames|1, h*w, 3), and the motion scale of each region."""

    masks: Tensor
    scale: tuple[float, ...]


@dataclass(frozen=True)
class UnprojectedAudio:
    """Audio of a batch: tokens (images, T, audio channels), masks (images, h*w, 3), scale of each region."""

    tokens: Tensor
    masks: Tensor
    scale: tuple[float, ...]


@dataclass(frozen=True)
class UnprojectedSessionLayer:
    """Conditions of one layer for a stream: reference (conditional rows, variants, h*w, C), identity (rows, T, cross)."""

    reference: Tensor | None
    identity: Tensor
    regions: AudioRegions


@dataclass(frozen=True)
class UnprojectedImages:
    """Conditions of one layer for a batch, one set for each image; motion features (batch rows, M, h*w, C)."""

    reference: Tensor | None
    identity: Tensor
    audio: UnprojectedAudio
    motion: Tensor | None
    audio_mix: None = None


@dataclass(frozen=True)
class UnprojectedLayer(UnprojectedSessionLayer):
    """Conditions of one layer for a window: audio (rows, frames, T, audio channels), motion (rows, M, h*w, C)."""

    audio: Tensor
    motion: Tensor | None

    def for_batch(self, rows: int) -> UnprojectedImages:
        """Return the conditions of each image in a batch of ``rows`` rows, a multiple of the rows here."""
        conditioned, frames = self.audio.shape[:2]
        steps = rows // conditioned
        masks = self.regions.masks.expand(conditioned, frames, -1, -1)
        identity = self.identity[:, None].expand(-1, frames, -1, -1)
        return UnprojectedImages(
            reference=self._reference_images(steps),
            identity=_repeat(identity, steps).flatten(0, 1),
            audio=UnprojectedAudio(
                _repeat(self.audio, steps).flatten(0, 1),
                _repeat(masks, steps).flatten(0, 1),
                self.regions.scale,
            ),
            motion=None if self.motion is None else _repeat(self.motion, steps),
        )

    def _reference_images(self, steps: int) -> Tensor | None:
        """Return reference tokens (images, h*w, C).

        Unconditional rows get them too: the released code lets them attend to reference tokens, and then discards
        the result.
        """
        if self.reference is None:
            return None
        conditioned, frames = self.audio.shape[:2]
        variants = self.reference.shape[1]
        ordered = self.reference[:, [frame % variants for frame in range(frames)]]
        unconditional = conditioned - ordered.shape[0]
        return _repeat(torch.cat([ordered[:unconditional], ordered]), steps).flatten(0, 1)


def merge_unprojected(
    values: Sequence[UnprojectedLayer], rows: SelectRows, shared: SelectRows
) -> UnprojectedLayer:
    """Merge one layer's conditions of several windows; ``rows`` and ``shared`` as in `conditions`."""
    references = [v.reference for v in values if v.reference is not None]
    motions = [v.motion for v in values if v.motion is not None]
    first = values[0]
    return UnprojectedLayer(
        reference=torch.cat(references) if references else None,
        identity=rows([v.identity for v in values]),
        regions=replace(first.regions, masks=shared([v.regions.masks for v in values])),
        audio=rows([v.audio for v in values]),
        motion=rows(motions) if motions else None,
    )


def _repeat(x: Tensor, steps: int) -> Tensor:
    return x if steps == 1 else x.repeat_interleave(steps, dim=0)
