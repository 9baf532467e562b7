"""The denoising UNet, entered and left at the cut points that cached sampling needs.

Shapes: latents and predictions (rows, L, frames, h, w); features (rows, frames, C, h, w); a time step is a
number or (rows,). Rows are a multiple of the rows of the conditions, see `lipstream_models.networks.conditions`.
With U_ij = `up_blocks.i` layer j of four levels:

    whole = head . trunk                 LightningCP: trunk ends in f_U31, head is conv_in, U_32 and conv_out
    whole = decode . encode              FasterDiffusion: all skips and the mid block's output are the cut
    whole = shallow . deep               DeepCache: deep ends in f_U30, shallow is D_00, U_31 and head

Other depths: "U_31" is the last layer but one of the last up block, "U_32" its last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .attention import Attention
from .blocks import AttentionOutputs
from .conditions import (
    Conditions,
    LayerConditions,
    SessionConditions,
    SessionLayer,
)
from .denoiser_layers import DenoiserLayers, EncoderFeatures
from .unprojected_conditions import AudioRegions, RawLayer, RawSessionLayer


@dataclass(frozen=True)
class KeyStep:
    """A whole evaluation with everything that later steps may reuse."""

    prediction: Tensor
    encoder: EncoderFeatures
    f_u30: Tensor
    f_u31: Tensor
    background: AttentionOutputs

    def last_rows(self, rows: int) -> "KeyStep":
        """Only the last rows: the conditional ones, for steps that reuse or skip guidance."""
        if rows == self.prediction.shape[0]:
            return self
        return KeyStep(
            self.prediction[-rows:],
            self.encoder.last_rows(rows),
            self.f_u30[-rows:],
            self.f_u31[-rows:],
            self.background.last_rows(rows, self.prediction.shape[2]),
        )


class Denoiser(DenoiserLayers):
    """Prepare conditions, then evaluate whole or in parts."""

    def prepare_session(
        self,
        source: Mapping[str, Tensor],
        identity: Tensor,
        masks: Sequence[Tensor],
        face: Tensor | None,
        unconditional: int,
        motion_scale: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        project: bool = True,
    ) -> SessionConditions:
        """What a portrait fixes. source: per layer (conditional rows, variants, h*w, C) reference features,
        one variant or two (see `preparation.source_features`); identity: (rows, T, cross); masks: per level
        (rows|1, frames|1, h*w, 3) in the order whole picture, face, lips; face: (rows|1, frames|1, C, h,
        w), zeros for unconditional rows; unconditional: how many rows at the front are so; motion_scale:
        weight of each region; project: False keeps everything raw (see `raw_conditions`).
        """
        layers: dict[str, SessionLayer | RawSessionLayer] = {}
        for block in self._all_blocks():
            level = masks[block.shape.level]
            for j in range(block.shape.layers):
                name = f"{block.shape.name}.{j}"
                if project:
                    layers[name] = block.session_layer(j, source[name], identity, level, motion_scale)
                else:
                    regions = AudioRegions(level, tuple(motion_scale))
                    layers[name] = RawSessionLayer(source[name], identity, regions)
        return SessionConditions(layers, face, identity.shape[0], unconditional)

    def prepare_window(
        self, session: SessionConditions, audio: Tensor, motion: Mapping[str, Tensor] | None
    ) -> Conditions:
        """Add what a clip brings. audio: (rows, frames, T, C) tokens, zeros for unconditional rows;
        motion: per layer (rows, motion frames, h*w, C) reference features of the last frames, or None.
        """
        frames = audio.shape[1]
        layers: dict[str, LayerConditions | RawLayer] = {}
        for block in self._all_blocks():
            for j in range(block.shape.layers):
                name = f"{block.shape.name}.{j}"
                past = None if motion is None else motion[name]
                kept = _in_turn(session.layers[name], frames)
                if isinstance(kept, RawSessionLayer):
                    layers[name] = RawLayer(kept.reference, kept.identity, kept.regions, audio, past)
                else:
                    layers[name] = block.clip_layer(j, kept, audio, past)
        return Conditions(layers, session.face, session.rows, session.unconditional, frames)

    def prepare(
        self,
        source: Mapping[str, Tensor],
        motion: Mapping[str, Tensor] | None,
        identity: Tensor,
        audio: Tensor,
        masks: Sequence[Tensor],
        face: Tensor | None,
        unconditional: int,
        motion_scale: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> Conditions:
        """`prepare_session` and `prepare_window` in one; differentiable."""
        session = self.prepare_session(source, identity, masks, face, unconditional, motion_scale)
        return self.prepare_window(session, audio, motion)

    def whole(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> Tensor:
        """The plain prediction."""
        return self.key_step(z, t, conditions).prediction

    forward = whole

    def key_step(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> KeyStep:
        """The plain evaluation, with its inner features."""
        run, stem = self._start(z, t, conditions)
        encoder = self._encode(run, stem)
        f_u30 = self._decode_deep(run, encoder)
        f_u31 = self._second_last(run, f_u30, encoder.skips[1])
        prediction, background = self._finish(run, f_u31, stem, None, None)
        features = EncoderFeatures(tuple(map(run.feature, encoder.skips)), run.feature(encoder.middle))
        return KeyStep(prediction, features, run.feature(f_u30), run.feature(f_u31), background)

    def trunk(
        self, z: Tensor, t: Tensor | float, conditions: Conditions, uncut: Tensor | None = None
    ) -> Tensor:
        """f_U31 (rows, frames, C, h, w). With `uncut`, the raw motion features of that layer, the motion
        frames stay in front.
        """
        run, stem = self._start(z, t, conditions)
        encoder = self._encode(run, stem)
        return run.feature(self._second_last(run, self._decode_deep(run, encoder), encoder.skips[1], uncut))

    def head(
        self,
        z: Tensor,
        f_u31: Tensor,
        t: Tensor | float,
        conditions: Conditions,
        foreground: Tensor | None = None,
        background: AttentionOutputs | None = None,
    ) -> Tensor:
        """Prediction from a kept f_U31, whose rows may divide those of z. With `foreground` (token indices
        of the face) and `background` (from the key step) attention runs inside the face only (paper,
        section 3).
        """
        run, stem = self._start(z, t, conditions)
        return self._finish(run, run.images(f_u31), stem, foreground, background)[0]

    def last_attention(
        self, z: Tensor, f_u31: Tensor, t: Tensor | float, conditions: Conditions
    ) -> tuple[Attention, Tensor]:
        """The first attention of the last layer and its input (rows*frames, h*w, C), to be looked at."""
        run, stem = self._start(z, t, conditions)
        block = self._blocks(self.up_blocks)[-1]
        index = len(block.resnets) - 1
        x = block.resnets[index](torch.cat([run.images(f_u31), stem], dim=1), run.time)
        spatial = block.attention(index)
        return spatial.block.attn1, spatial.feature(x)[1]

    def encode(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> EncoderFeatures:
        """Encoder and mid block."""
        run, stem = self._start(z, t, conditions)
        encoder = self._encode(run, stem)
        return EncoderFeatures(tuple(map(run.feature, encoder.skips)), run.feature(encoder.middle))

    def decode(self, encoder: EncoderFeatures, t: Tensor | float, conditions: Conditions) -> Tensor:
        """Prediction from kept encoder features; a time step per row may give more rows than the features
        have.
        """
        rows = max(encoder.middle.shape[0], t.numel() if isinstance(t, Tensor) else 1)
        run = self._run(t, conditions, rows, encoder.middle.device)
        inner = EncoderFeatures(tuple(map(run.images, encoder.skips)), run.images(encoder.middle))
        f_u31 = self._second_last(run, self._decode_deep(run, inner), inner.skips[1])
        return self._finish(run, f_u31, inner.skips[0], None, None)[0]

    def deep(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> Tensor:
        """f_U30 (rows, frames, C, h, w): the input of the last layer but one."""
        run, stem = self._start(z, t, conditions)
        return run.feature(self._decode_deep(run, self._encode(run, stem)))

    def shallow(self, z: Tensor, f_u30: Tensor, t: Tensor | float, conditions: Conditions) -> Tensor:
        """Prediction from a kept f_U30 through conv_in, D_00, U_31 and U_32."""
        run, stem = self._start(z, t, conditions)
        d00 = self._layer(run, self._blocks(self.down_blocks)[0], 0, stem)
        f_u31 = self._second_last(run, run.images(f_u30), d00)
        return self._finish(run, f_u31, stem, None, None)[0]


def _in_turn(layer: SessionLayer | RawSessionLayer, frames: int) -> SessionLayer | RawSessionLayer:
    """The layer with its reference variants in the order of the frames: Hallo tiles them over all frames of all rows,
    conditional rows last, so they begin with variant frames % count.
    """

    def order(variants: Tensor) -> Tensor:
        count = variants.shape[1]
        turns = [(frames + f) % count for f in range(frames)]
        return variants if frames % count == 0 else variants[:, turns]

    if isinstance(layer, RawSessionLayer):
        return layer if layer.reference is None else replace(layer, reference=order(layer.reference))
    return layer if layer.reference is None else replace(layer, reference=layer.reference.map(order))
