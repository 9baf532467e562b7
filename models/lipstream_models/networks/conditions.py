"""Conditions: everything that is constant while a window is denoised, projected once.

Rows are streams times guidance branches, unconditional rows first. A batch of the denoiser may have k times as many
rows as its conditions (several timesteps at once): row r of the conditions then serves rows r*k .. r*k+k-1 of the
batch, without copies.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .unprojected_conditions import (
    SelectRows,
    UnprojectedLayer,
    UnprojectedSessionLayer,
    merge_unprojected,
)


@dataclass(frozen=True)
class KeyValue:
    """Keys and values of an attention before the split into heads: (rows, tokens, channels) each."""

    key: Tensor
    value: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "KeyValue":
        """Return changed keys and values."""
        return KeyValue(change(self.key), change(self.value))


@dataclass(frozen=True)
class AudioMix:
    """The three regions of an audio module folded into one (`AudioModule.fold_regions`).

    Attributes:
        query: (3C, C), the three query projections.
        output: (C, 3C), the output projection of each region followed by its 1x1 convolution.
        weights: (rows|1, frames|1, h*w, 3, 1), region masks times motion scales.
        bias: (rows|1, frames|1, h*w, C).
    """

    query: Tensor
    output: Tensor
    weights: Tensor
    bias: Tensor


@dataclass(frozen=True)
class MotionProjections:
    """Motion frames in a motion module: hidden state, and queries, keys and values of the first attention.

    Each is (rows, h*w, M, C).
    """

    hidden: Tensor
    query: Tensor
    key: Tensor
    value: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "MotionProjections":
        """Return changed tensors."""
        return MotionProjections(
            change(self.hidden), change(self.query), change(self.key), change(self.value)
        )


@dataclass(frozen=True)
class SessionLayer:
    """Conditions of one layer that are constant over a stream.

    Attributes:
        reference: (conditional rows, variants, h*w, C). Frame f reads variant f modulo variants; there is one
            variant unless `tiled_identity`. None: no reference tokens.
        identity: (rows, T, C).
        audio_mix: folded regions.
    """

    reference: KeyValue | None
    identity: KeyValue
    audio_mix: AudioMix


@dataclass(frozen=True)
class LayerConditions(SessionLayer):
    """Conditions of one layer for a window: audio (rows, frames, T, 3C), and motion frames if there are any."""

    audio: KeyValue
    motion: MotionProjections | None


@dataclass(frozen=True)
class SessionConditions:
    """Conditions that a portrait fixes.

    Attributes:
        layers: by layer name, projected or unprojected (`unprojected_conditions`).
        face: face-locator feature (rows|1, frames|1, C, h, w).
        rows: number of rows.
        unconditional: number of unconditional rows, which come first.
    """

    layers: Mapping[str, SessionLayer | UnprojectedSessionLayer]
    face: Tensor | None
    rows: int
    unconditional: int


@dataclass(frozen=True)
class Conditions:
    """Conditions of a window, by layer name (`down_blocks.0.0`, `mid_block.0`, `up_blocks.3.2`); see `SessionConditions`."""

    layers: Mapping[str, LayerConditions | UnprojectedLayer]
    face: Tensor | None
    rows: int
    unconditional: int
    frames: int

    def without_reference(self, names: Collection[str]) -> "Conditions":
        """Return conditions without reference tokens in these layers (reference feature removal, LightningCP)."""
        unknown = sorted(set(names) - set(self.layers))
        if unknown:
            raise KeyError(f"unknown layers {unknown}; expected some of {sorted(self.layers)}")
        layers = {n: replace(c, reference=None) if n in names else c for n, c in self.layers.items()}
        return replace(self, layers=layers)

    def conditional(self) -> "Conditions":
        """Return the conditional rows only, as if there were no guidance."""
        if not self.unconditional:
            return self
        return _merge([self], rows=lambda parts: parts[0][self.unconditional :], unconditional=0)


def join_conditions(parts: Sequence[Conditions]) -> Conditions:
    """Join conditions of several windows in one batch: all unconditional rows, then all conditional rows."""
    if not parts:
        raise ValueError("join_conditions needs at least one window")
    if len({(p.frames, p.unconditional == 0, p.face is None) for p in parts}) != 1:
        raise ValueError("windows of one batch must agree in frames, guidance and face locator")
    cuts = [p.unconditional for p in parts]

    def rows(tensors: Sequence[Tensor]) -> Tensor:
        full = [
            t.expand(p.rows, *t.shape[1:]) if t.shape[0] == 1 else t
            for t, p in zip(tensors, parts, strict=True)
        ]
        pairs = list(zip(full, cuts, strict=True))
        return torch.cat([t[:cut] for t, cut in pairs] + [t[cut:] for t, cut in pairs])

    return _merge(parts, rows=rows, unconditional=sum(cuts))


def _merge(parts: Sequence[Conditions], rows: SelectRows, unconditional: int) -> Conditions:
    """Build conditions of which ``rows`` selects and orders the rows of the parts' tensors."""

    def shared(tensors: Sequence[Tensor]) -> Tensor:
        """Merge tensors that may have one row for all rows; one and the same tensor stays as it is."""
        first = tensors[0]
        same = first.shape[0] == 1 and all(t is first for t in tensors)
        return first if same else rows(tensors)

    first = parts[0]
    total = sum(p.rows - p.unconditional for p in parts) + unconditional
    faces = [p.face for p in parts if p.face is not None]
    return Conditions(
        layers={name: _merge_layer([p.layers[name] for p in parts], rows, shared) for name in first.layers},
        face=shared(faces) if faces else None,
        rows=total,
        unconditional=unconditional,
        frames=first.frames,
    )


def _merge_layer(
    values: Sequence[LayerConditions | UnprojectedLayer], rows: SelectRows, shared: SelectRows
) -> LayerConditions | UnprojectedLayer:
    unprojected = [v for v in values if isinstance(v, UnprojectedLayer)]
    if len(unprojected) == len(values):
        return merge_unprojected(unprojected, rows, shared)
    if unprojected:
        raise ValueError("windows of one batch must all have projected or all unprojected conditions")
    return _merge_projected([v for v in values if isinstance(v, LayerConditions)], rows, shared)


def _merge_projected(
    values: Sequence[LayerConditions], rows: SelectRows, shared: SelectRows
) -> LayerConditions:
    def key_value(pairs: Sequence[KeyValue], take: SelectRows) -> KeyValue:
        return KeyValue(take([p.key for p in pairs]), take([p.value for p in pairs]))

    references = [v.reference for v in values if v.reference is not None]
    mixes = [v.audio_mix for v in values]
    motions = [v.motion for v in values if v.motion is not None]
    return LayerConditions(
        reference=key_value(references, lambda tensors: torch.cat(list(tensors))) if references else None,
        identity=key_value([v.identity for v in values], rows),
        audio_mix=replace(
            mixes[0], weights=shared([m.weights for m in mixes]), bias=shared([m.bias for m in mixes])
        ),
        audio=key_value([v.audio for v in values], rows),
        motion=MotionProjections(
            rows([m.hidden for m in motions]),
            rows([m.query for m in motions]),
            rows([m.key for m in motions]),
            rows([m.value for m in motions]),
        )
        if motions
        else None,
    )
