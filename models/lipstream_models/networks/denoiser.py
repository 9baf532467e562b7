"""The denoising UNet, with the cut points that cached sampling needs.

Shapes in this module: latents z and predictions are (rows, L, frames, h, w), features (rows, frames, C, h, w), and a
timestep t is a number or (rows,). Rows are a multiple of the rows of the conditions (`networks.conditions`).

With U_ij = layer j of `up_blocks.i`, for four levels:

    whole = head . trunk        LightningCP: trunk ends in f_U31; head is conv_in, U_32 and conv_out
    whole = decode . encode     FasterDiffusion: cut at all skips and the output of the mid block
    whole = shallow . deep      DeepCache: deep ends in f_U30; shallow is D_00, U_31 and head

At other depths, "U_32" is the last layer of the last up block, and "U_31" the layer before it.
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
from .unprojected_conditions import AudioRegions, UnprojectedLayer, UnprojectedSessionLayer


@dataclass(frozen=True)
class KeyStep:
    """Prediction of the full network, with all features that later steps may reuse.

    Attributes:
        prediction: (rows, L, frames, h, w).
        encoder: encoder features, for `Denoiser.decode`.
        f_u30: input of U_31 (rows, frames, C, h, w).
        f_u31: input of U_32 (rows, frames, C, h, w).
        background: attention outputs of U_32.
    """

    prediction: Tensor
    encoder: EncoderFeatures
    f_u30: Tensor
    f_u31: Tensor
    background: AttentionOutputs

    def last_rows(self, rows: int) -> "KeyStep":
        """Return the last rows (the conditional ones), for steps that reuse or skip guidance."""
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
    """The denoising UNet: preparation of conditions, and evaluation in full or from a cut point."""

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
        """Return the conditions that a portrait fixes.

        Args:
            source: reference features by layer (conditional rows, variants, h*w, C), see
                `conditioning.source_features`.
            identity: identity tokens (rows, T, cross).
            masks: for each level (rows|1, frames|1, h*w, 3): full frame, face, lips.
            face: face-locator feature (rows|1, frames|1, C, h, w), zeros for unconditional rows.
            unconditional: number of unconditional rows, which come first.
            motion_scale: weight of each region.
            project: False keeps conditions unprojected (`unprojected_conditions`).
        """
        layers: dict[str, SessionLayer | UnprojectedSessionLayer] = {}
        for block in self._all_blocks():
            level = masks[block.shape.level]
            for j in range(block.shape.layers):
                name = f"{block.shape.name}.{j}"
                if project:
                    layers[name] = block.project_session_layer(j, source[name], identity, level, motion_scale)
                else:
                    regions = AudioRegions(level, tuple(motion_scale))
                    layers[name] = UnprojectedSessionLayer(source[name], identity, regions)
        return SessionConditions(layers, face, identity.shape[0], unconditional)

    def prepare_window(
        self, session: SessionConditions, audio: Tensor, motion: Mapping[str, Tensor] | None
    ) -> Conditions:
        """Add the conditions of a window.

        Args:
            session: conditions of the stream.
            audio: audio tokens (rows, frames, T, C), zeros for unconditional rows.
            motion: reference features of the last frames by layer (rows, M, h*w, C), or None.
        """
        frames = audio.shape[1]
        layers: dict[str, LayerConditions | UnprojectedLayer] = {}
        for block in self._all_blocks():
            for j in range(block.shape.layers):
                name = f"{block.shape.name}.{j}"
                layer_motion = None if motion is None else motion[name]
                layer = _order_variants(session.layers[name], frames)
                if isinstance(layer, UnprojectedSessionLayer):
                    layers[name] = UnprojectedLayer(
                        layer.reference, layer.identity, layer.regions, audio, layer_motion
                    )
                else:
                    layers[name] = block.project_window_layer(j, layer, audio, layer_motion)
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
        """Run `prepare_session` and `prepare_window`, with their arguments; differentiable."""
        session = self.prepare_session(source, identity, masks, face, unconditional, motion_scale)
        return self.prepare_window(session, audio, motion)

    def whole(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> Tensor:
        """Return the prediction (rows, L, frames, h, w)."""
        return self.key_step(z, t, conditions).prediction

    forward = whole

    def key_step(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> KeyStep:
        """Return the prediction with its reusable features."""
        run, stem = self._stem(z, t, conditions)
        encoder = self._encode(run, stem)
        f_u30 = self._decode_deep(run, encoder)
        f_u31 = self._layer_u31(run, f_u30, encoder.skips[1])
        prediction, background = self._last_layer(run, f_u31, stem, None, None)
        features = EncoderFeatures(tuple(map(run.feature, encoder.skips)), run.feature(encoder.middle))
        return KeyStep(prediction, features, run.feature(f_u30), run.feature(f_u31), background)

    def trunk(
        self, z: Tensor, t: Tensor | float, conditions: Conditions, leading_motion: Tensor | None = None
    ) -> Tensor:
        """Return f_U31 (rows, frames, C, h, w).

        With ``leading_motion``, the unprojected motion features of U_31 (rows, M, h*w, C), the motion frames stay in
        front: (rows, M + frames, C, h, w).
        """
        run, stem = self._stem(z, t, conditions)
        encoder = self._encode(run, stem)
        return run.feature(
            self._layer_u31(run, self._decode_deep(run, encoder), encoder.skips[1], leading_motion)
        )

    def head(
        self,
        z: Tensor,
        f_u31: Tensor,
        t: Tensor | float,
        conditions: Conditions,
        foreground: Tensor | None = None,
        background: AttentionOutputs | None = None,
    ) -> Tensor:
        """Return the prediction from a cached f_U31, whose rows may divide those of z.

        With ``foreground`` (token indices (L,) of the face) and ``background`` (of the key step), attention runs
        inside the face only (DFA, LightningCP section 3).
        """
        run, stem = self._stem(z, t, conditions)
        return self._last_layer(run, run.images(f_u31), stem, foreground, background)[0]

    def last_attention(
        self, z: Tensor, f_u31: Tensor, t: Tensor | float, conditions: Conditions
    ) -> tuple[Attention, Tensor]:
        """Return the first attention of the last layer and its input (rows*frames, h*w, C), for analysis."""
        run, stem = self._stem(z, t, conditions)
        block = self._blocks(self.up_blocks)[-1]
        index = len(block.resnets) - 1
        x = block.resnets[index](torch.cat([run.images(f_u31), stem], dim=1), run.time)
        spatial = block.attention(index)
        return spatial.block.attn1, spatial.feature(x)[1]

    def encode(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> EncoderFeatures:
        """Return the features of encoder and mid block."""
        run, stem = self._stem(z, t, conditions)
        encoder = self._encode(run, stem)
        return EncoderFeatures(tuple(map(run.feature, encoder.skips)), run.feature(encoder.middle))

    def decode(self, encoder: EncoderFeatures, t: Tensor | float, conditions: Conditions) -> Tensor:
        """Return the prediction from cached encoder features, whose rows may divide those of t."""
        rows = max(encoder.middle.shape[0], t.numel() if isinstance(t, Tensor) else 1)
        run = self._context(t, conditions, rows, encoder.middle.device)
        inner = EncoderFeatures(tuple(map(run.images, encoder.skips)), run.images(encoder.middle))
        f_u31 = self._layer_u31(run, self._decode_deep(run, inner), inner.skips[1])
        return self._last_layer(run, f_u31, inner.skips[0], None, None)[0]

    def deep(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> Tensor:
        """Return f_U30 (rows, frames, C, h, w), the input of U_31."""
        run, stem = self._stem(z, t, conditions)
        return run.feature(self._decode_deep(run, self._encode(run, stem)))

    def shallow(self, z: Tensor, f_u30: Tensor, t: Tensor | float, conditions: Conditions) -> Tensor:
        """Return the prediction from a cached f_U30 through conv_in, D_00, U_31 and U_32."""
        run, stem = self._stem(z, t, conditions)
        d00 = self._layer(run, self._blocks(self.down_blocks)[0], 0, stem)
        f_u31 = self._layer_u31(run, run.images(f_u30), d00)
        return self._last_layer(run, f_u31, stem, None, None)[0]


def _order_variants(
    layer: SessionLayer | UnprojectedSessionLayer, frames: int
) -> SessionLayer | UnprojectedSessionLayer:
    """Return the layer with its reference variants in the order of the frames.

    Hallo tiles the variants over all frames of all rows, conditional rows last, so that the conditional rows begin
    with variant frames % count.
    """

    def order(variants: Tensor) -> Tensor:
        count = variants.shape[1]
        turns = [(frames + f) % count for f in range(frames)]
        return variants if frames % count == 0 else variants[:, turns]

    if isinstance(layer, UnprojectedSessionLayer):
        return layer if layer.reference is None else replace(layer, reference=order(layer.reference))
    return layer if layer.reference is None else replace(layer, reference=layer.reference.map(order))
