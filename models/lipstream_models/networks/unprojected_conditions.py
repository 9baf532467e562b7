"""Conditions as the released code of Hallo keeps them: raw, so that every step projects them anew.

They give what projected conditions give, to rounding, at the released cost: keys and values of reference, identity and audio
once a step and frame, reference attention also for the rows that throw it away, three audio attentions apart, motion frames
carried through the whole motion module. It is what speed is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

TakeRows = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class AudioRegions:
    """Where a frame listens to its audio: masks (rows|1, frames|1, h*w, 3) and the motion scale of each region."""

    masks: Tensor
    scale: tuple[float, ...]


@dataclass(frozen=True)
class RawAudio:
    """Audio for one batch of images. tokens: (images, T, audio channels); masks: (images, h*w, 3)."""

    tokens: Tensor
    masks: Tensor
    scale: tuple[float, ...]


@dataclass(frozen=True)
class RawSessionLayer:
    """What one layer keeps for a session. reference: (conditional rows, variants, h*w, C); identity: (rows, T, cross)."""

    reference: Tensor | None
    identity: Tensor
    regions: AudioRegions


@dataclass(frozen=True)
class RawImages:
    """One layer's conditions for a batch, one set for each image; motion: (batch rows, motion frames, h*w, C)."""

    reference: Tensor | None
    identity: Tensor
    audio: RawAudio
    motion: Tensor | None
    audio_mix: None = None


@dataclass(frozen=True)
class RawLayer(RawSessionLayer):
    """What one layer keeps for a clip. audio: (rows, frames, T, audio channels); motion: (rows, motion frames, h*w, C)."""

    audio: Tensor
    motion: Tensor | None

    def for_batch(self, rows: int) -> RawImages:
        """Spread over a batch of that many rows, a multiple of the rows of these conditions."""
        conditioned, frames = self.audio.shape[:2]
        steps = rows // conditioned
        masks = self.regions.masks.expand(conditioned, frames, -1, -1)
        identity = self.identity[:, None].expand(-1, frames, -1, -1)
        return RawImages(
            reference=self._reference_images(steps),
            identity=_repeat(identity, steps).flatten(0, 1),
            audio=RawAudio(
                _repeat(self.audio, steps).flatten(0, 1),
                _repeat(masks, steps).flatten(0, 1),
                self.regions.scale,
            ),
            motion=None if self.motion is None else _repeat(self.motion, steps),
        )

    def _reference_images(self, steps: int) -> Tensor | None:
        """(images, h*w, C). Unconditional rows get a reference too: the released code lets them attend to it and then
        throws the result away.
        """
        if self.reference is None:
            return None
        conditioned, frames = self.audio.shape[:2]
        variants = self.reference.shape[1]
        turns = self.reference[:, [frame % variants for frame in range(frames)]]
        unconditional = conditioned - turns.shape[0]
        return _repeat(torch.cat([turns[:unconditional], turns]), steps).flatten(0, 1)


def merge_raw(values: Sequence[RawLayer], rows: TakeRows, shared: TakeRows) -> RawLayer:
    """One layer's conditions of several clips as one, rows taken as the callers of `conditions.merge` say."""
    references = [v.reference for v in values if v.reference is not None]
    motions = [v.motion for v in values if v.motion is not None]
    first = values[0]
    return RawLayer(
        reference=torch.cat(references) if references else None,
        identity=rows([v.identity for v in values]),
        regions=replace(first.regions, masks=shared([v.regions.masks for v in values])),
        audio=rows([v.audio for v in values]),
        motion=rows(motions) if motions else None,
    )


def _repeat(x: Tensor, steps: int) -> Tensor:
    return x if steps == 1 else x.repeat_interleave(steps, dim=0)
