"""Blocks of both UNets: their layers, and the evaluation of one layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import NetworkConfig
from .audio_module import AudioModule
from .block_shapes import BlockShape
from .conditions import LayerConditions, SessionLayer
from .layouts import expand_rows
from .motion_module import MotionModule
from .resnet import Downsample, Resnet, Upsample
from .spatial_transformer import SpatialTransformer
from .unprojected_conditions import UnprojectedLayer


class ReferenceBlock(nn.Module):
    """Resnets, spatial attention and resampling: a block of the reference network, and base of the denoiser's blocks."""

    def __init__(self, shape: BlockShape, config: NetworkConfig) -> None:
        super().__init__()
        self.shape = shape
        groups, width = config.norm_groups, shape.out_channels
        time = 4 * config.block_out_channels[0]
        self.resnets = nn.ModuleList([Resnet(i, o, time, groups) for i, o in shape.resnets])
        self.downsamplers = nn.ModuleList([Downsample(width)] if shape.downsample else [])
        self.upsamplers = nn.ModuleList([Upsample(width)] if shape.upsample else [])
        self.attentions = nn.ModuleList(
            [
                SpatialTransformer(width, config.heads, config.cross_attention_dim, groups)
                for _ in range(shape.layers)
            ]
        )

    def attention(self, index: int) -> SpatialTransformer:
        """Return the spatial transformer of a layer."""
        module = self.attentions[index]
        assert isinstance(module, SpatialTransformer)
        return module

    def resample(self, x: Tensor) -> Tensor:
        """Down- or upsample images (N, C, h, w) where the block does so."""
        for sampler in (*self.downsamplers, *self.upsamplers):
            x = sampler(x)
        return x


@dataclass(frozen=True)
class AttentionOutputs:
    """Attention outputs of one layer, which later steps reuse outside the face (DFA, LightningCP section 3).

    Attributes:
        reference: (rows*frames, h*w, C).
        audio: (rows*frames, h*w, inner).
        temporal: (rows, h*w, frames, C) of both temporal attentions; the first includes the motion frames.
    """

    reference: Tensor
    audio: Tensor
    temporal: tuple[Tensor, ...]

    def for_rows(self, rows: int, frames: int) -> "AttentionOutputs":
        """Return the outputs for a batch of more rows; each row here serves as many adjacent rows of the batch."""

        def images(x: Tensor) -> Tensor:
            return expand_rows(torch.unflatten(x, 0, (-1, frames)), rows).flatten(0, 2)

        temporal = tuple(expand_rows(x, rows).flatten(0, 1) for x in self.temporal)
        return AttentionOutputs(images(self.reference), images(self.audio), temporal)

    def last_rows(self, rows: int, frames: int) -> "AttentionOutputs":
        """Return the outputs of the last rows (the conditional ones)."""
        images = rows * frames
        temporal = tuple(x[-rows:] for x in self.temporal)
        return AttentionOutputs(self.reference[-images:], self.audio[-images:], temporal)


class DenoisingBlock(ReferenceBlock):
    """A reference block with an audio module and a motion module after each spatial attention."""

    def __init__(self, shape: BlockShape, config: NetworkConfig) -> None:
        super().__init__(shape, config)
        width = shape.out_channels
        self.audio_modules = nn.ModuleList(
            [
                AudioModule(width, inner, config.heads, config.audio_attention_dim, config.norm_groups)
                for inner in shape.audio
                if shape.attention
            ]
        )
        # Blocks without attention have motion modules in Hallo's checkpoint, which never run (models/README.md, trap 2).
        motion = shape.layers or (len(shape.resnets) if config.unused_motion_modules else 0)
        self.motion_modules = nn.ModuleList(
            [
                MotionModule(width, config.motion_heads, config.max_positions, config.motion_norm_groups)
                for _ in range(motion)
            ]
        )

    def audio_module(self, index: int) -> AudioModule:
        """Return the audio module of a layer."""
        module = self.audio_modules[index]
        assert isinstance(module, AudioModule)
        return module

    def motion_module(self, index: int) -> MotionModule:
        """Return the motion module of a layer."""
        module = self.motion_modules[index]
        assert isinstance(module, MotionModule)
        return module

    def project_session_layer(
        self, index: int, source: Tensor, identity: Tensor, masks: Tensor, scale: Sequence[float]
    ) -> SessionLayer:
        """Project the conditions of one layer that a portrait fixes; arguments as in `Denoiser.prepare_session`."""
        spatial = self.attention(index).block
        return SessionLayer(
            reference=spatial.attn1.keys_values(source),
            identity=spatial.attn2.keys_values(identity),
            audio_mix=self.audio_module(index).fold_regions(masks, scale),
        )

    def project_window_layer(
        self, index: int, session: SessionLayer, audio: Tensor, motion: Tensor | None
    ) -> LayerConditions:
        """Add projections of audio tokens (rows, frames, T, C) and motion features (rows, M, h*w, C)."""
        return LayerConditions(
            reference=session.reference,
            identity=session.identity,
            audio_mix=session.audio_mix,
            audio=self.audio_module(index).keys_values(audio),
            motion=None if motion is None else self.motion_module(index).project_motion_frames(motion),
        )

    def run_layer(
        self,
        index: int,
        x: Tensor,
        time: Tensor,
        conditions: LayerConditions | UnprojectedLayer | None,
        frames: int,
        unconditional: int,
        *,
        foreground: Tensor | None = None,
        background: AttentionOutputs | None = None,
        leading_motion: Tensor | None = None,
    ) -> tuple[Tensor, AttentionOutputs | None]:
        """Run one layer: resnet, spatial attention, audio module, motion module.

        Args:
            index: number of the layer.
            x: images (rows*frames, C, h, w).
            time: activated time embedding (1|rows, T).
            conditions: the layer's conditions; None in blocks without attention, where only the resnet runs.
            frames: frames of a row.
            unconditional: images at the front without reference tokens.
            foreground: token indices (L,) of the face, for attention inside the face.
            background: attention outputs outside the face.
            leading_motion: unprojected motion features (rows, M, h*w, C), to keep motion frames in front.

        Returns:
            Images (rows*frames, C', h, w), and the attention outputs.
        """
        x = self.resnets[index](x, time)
        if conditions is None:
            return x, None
        rows = x.shape[0] // frames
        batch = conditions.for_batch(rows) if isinstance(conditions, UnprojectedLayer) else conditions
        cached = None if background is None else background.for_rows(rows, frames)
        reference, audio, temporal = (
            (None, None, None) if cached is None else (cached.reference, cached.audio, cached.temporal)
        )
        x, reference = self.attention(index)(
            x, batch.identity, batch.reference, unconditional, foreground, reference
        )
        x, audio = self.audio_module(index)(x, batch.audio, batch.audio_mix, foreground, audio)
        x, temporal = self.motion_module(index)(
            x, frames, batch.motion, leading_motion=leading_motion, foreground=foreground, background=temporal
        )
        return x, AttentionOutputs(reference, audio, temporal)
