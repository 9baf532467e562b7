"""Everything that stays constant while a clip is denoised, projected once.

Rows are clips times guidance branches, unconditional rows first. A batch given to the denoiser may have k
times as many rows as its conditions (several time steps evaluated at once); condition row r then serves
batch rows r*k .. r*k+k-1, without copies.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .unprojected_conditions import (
    RawLayer,
    RawSessionLayer,
    TakeRows,
    merge_raw,
)


@dataclass(frozen=True)
class KeyValue:
    """Keys and values of an attention before the split into heads: (rows, tokens, channels) each."""

    key: Tensor
    value: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "KeyValue":
        return KeyValue(change(self.key), change(self.value))


@dataclass(frozen=True)
class AudioMix:
    """The three region branches of an audio module folded into one (see `AudioModule.mix`).

    query: (3C, C) the three query projections. output: (C, 3C) each branch's output projection followed by
    its 1x1 convolution. weights: (rows|1, frames|1, tokens, 3, 1) region masks times motion scales. bias:
    (rows|1, frames|1, tokens, C).
    """

    query: Tensor
    output: Tensor
    weights: Tensor
    bias: Tensor


@dataclass(frozen=True)
class MotionMemory:
    """Motion frames inside a motion module: hidden state, and queries, keys, values of the first attention,
    each (rows, tokens, motion, C).
    """

    hidden: Tensor
    query: Tensor
    key: Tensor
    value: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "MotionMemory":
        return MotionMemory(change(self.hidden), change(self.query), change(self.key), change(self.value))


@dataclass(frozen=True)
class SessionLayer:
    """What one layer keeps for a whole session.

    `reference` is (conditional rows, variants, h*w, C): frame f reads variant f modulo variants (one
    variant unless `tiled_identity`); None: no reference tokens.
    """

    reference: KeyValue | None
    identity: KeyValue
    audio_mix: AudioMix


@dataclass(frozen=True)
class LayerConditions(SessionLayer):
    """What one layer keeps for a clip. `audio` is (rows, frames, tokens, 3C); `motion` is None without
    motion frames.
    """

    audio: KeyValue
    motion: MotionMemory | None


@dataclass(frozen=True)
class SessionConditions:
    """The part of the conditions that a portrait fixes. `face`: (rows|1, frames|1, C, h, w) face-locator
    feature. Layers are
    projected, or raw (see `raw_conditions`).
    """

    layers: Mapping[str, SessionLayer | RawSessionLayer]
    face: Tensor | None
    rows: int
    unconditional: int


@dataclass(frozen=True)
class Conditions:
    """All conditions of a clip, by layer name (`down_blocks.0.0`, `mid_block.0`, `up_blocks.3.2`), projected or raw."""

    layers: Mapping[str, LayerConditions | RawLayer]
    face: Tensor | None
    rows: int
    unconditional: int
    frames: int

    def without_reference(self, names: Collection[str]) -> "Conditions":
        """The same conditions with the reference tokens removed from the named layers (reference feature
        removal).
        """
        unknown = sorted(set(names) - set(self.layers))
        if unknown:
            raise KeyError(f"unknown layers {unknown}; known are {sorted(self.layers)}")
        layers = {n: replace(c, reference=None) if n in names else c for n, c in self.layers.items()}
        return replace(self, layers=layers)

    def conditional(self) -> "Conditions":
        """Only the conditional rows, as if there were no guidance."""
        if not self.unconditional:
            return self
        return _merge([self], rows=lambda parts: parts[0][self.unconditional :], unconditional=0)


def join(parts: Sequence[Conditions]) -> Conditions:
    """Conditions of several clips as one batch: all unconditional rows, then all conditional rows, clips in
    order.
    """
    if not parts:
        raise ValueError("join needs at least one clip's conditions")
    if len({(p.frames, p.unconditional == 0, p.face is None) for p in parts}) != 1:
        raise ValueError("clips of one batch must agree in frames, guidance and face locator")
    cuts = [p.unconditional for p in parts]

    def rows(tensors: Sequence[Tensor]) -> Tensor:
        full = [
            t.expand(p.rows, *t.shape[1:]) if t.shape[0] == 1 else t
            for t, p in zip(tensors, parts, strict=True)
        ]
        pairs = list(zip(full, cuts, strict=True))
        return torch.cat([t[:cut] for t, cut in pairs] + [t[cut:] for t, cut in pairs])

    return _merge(parts, rows=rows, unconditional=sum(cuts))


def _merge(parts: Sequence[Conditions], rows: TakeRows, unconditional: int) -> Conditions:
    """Rebuild conditions with `rows` deciding which rows of the parts' tensors are taken, in which order."""

    def shared(tensors: Sequence[Tensor]) -> Tensor:
        """Tensors that may have one row for all rows stay so when they are one and the same."""
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
    values: Sequence[LayerConditions | RawLayer], rows: TakeRows, shared: TakeRows
) -> LayerConditions | RawLayer:
    raw = [v for v in values if isinstance(v, RawLayer)]
    if len(raw) == len(values):
        return merge_raw(raw, rows, shared)
    if raw:
        raise ValueError("clips of one batch must agree in whether their conditions are projected")
    return _merge_projected([v for v in values if isinstance(v, LayerConditions)], rows, shared)


def _merge_projected(values: Sequence[LayerConditions], rows: TakeRows, shared: TakeRows) -> LayerConditions:
    def key_value(pairs: Sequence[KeyValue], take: TakeRows) -> KeyValue:
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
        motion=MotionMemory(
            rows([m.hidden for m in motions]),
            rows([m.query for m in motions]),
            rows([m.key for m in motions]),
            rows([m.value for m in motions]),
        )
        if motions
        else None,
    )
