"""The blocks of both UNets: which layers they have, and how one layer runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import NetworkConfig
from .audio_module import AudioModule
from .conditions import LayerConditions, SessionLayer
from .layouts import spread_rows
from .motion_module import MotionModule
from .resnet import Downsample, Resnet, Upsample
from .spatial_transformer import SpatialTransformer
from .unprojected_conditions import RawLayer


@dataclass(frozen=True)
class BlockShape:
    """Widths of one block: `resnets` as (in, out), `audio` the inner width of each layer's audio module.

    `level` is the depth in the mask pyramid. A block without attention runs resnets only.
    """

    name: str
    level: int
    resnets: tuple[tuple[int, int], ...]
    attention: bool
    audio: tuple[int, ...] = ()
    downsample: bool = False
    upsample: bool = False

    @property
    def out_channels(self) -> int:
        return self.resnets[-1][1]

    @property
    def layers(self) -> int:
        """Number of layers with attention."""
        return len(self.audio) if self.attention else 0


def down_shapes(config: NetworkConfig) -> list[BlockShape]:
    """Encoder blocks D0.. (facts 1.2)."""
    shapes = []
    inner = config.block_out_channels[0]
    for level, outer in enumerate(config.block_out_channels):
        resnets = tuple((inner if j == 0 else outer, outer) for j in range(config.layers_per_block))
        last = level == config.levels - 1
        shapes.append(
            BlockShape(
                f"down_blocks.{level}",
                level,
                resnets,
                not last,
                tuple(i for i, _ in resnets),
                downsample=not last,
            )
        )
        inner = outer
    return shapes


def mid_shape(config: NetworkConfig) -> BlockShape:
    """Two resnets around one layer of attention."""
    width = config.block_out_channels[-1]
    return BlockShape("mid_block", config.levels - 1, ((width, width), (width, width)), True, (width,))


def up_shapes(config: NetworkConfig) -> list[BlockShape]:
    """Decoder blocks U0..; each layer's resnet takes [hidden, skip]. Audio modules are as narrow as the
    next finer level.
    """
    widths = config.block_out_channels[::-1]
    shapes = []
    previous = widths[0]
    for i, outer in enumerate(widths):
        finer = widths[min(i + 1, config.levels - 1)]
        count = config.layers_per_block + 1
        resnets = tuple(
            ((previous if j == 0 else outer) + (finer if j == count - 1 else outer), outer)
            for j in range(count)
        )
        last = i == config.levels - 1
        shapes.append(
            BlockShape(
                f"up_blocks.{i}", config.levels - 1 - i, resnets, i > 0, (finer,) * count, upsample=not last
            )
        )
        previous = outer
    return shapes


class ReferenceBlock(nn.Module):
    """Resnets, spatial attention and resampling: all that the reference net has, and the base of the
    denoiser's blocks.
    """

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
        module = self.attentions[index]
        assert isinstance(module, SpatialTransformer)
        return module

    def resample(self, x: Tensor) -> Tensor:
        for sampler in (*self.downsamplers, *self.upsamplers):
            x = sampler(x)
        return x


@dataclass(frozen=True)
class AttentionOutputs:
    """Outputs of the attentions of one layer, kept so that a later step can reuse them outside the face
    (paper, section 3).
    """

    reference: Tensor  # (rows*frames, h*w, C)
    audio: Tensor  # (rows*frames, h*w, inner)
    temporal: tuple[Tensor, ...]  # (rows, h*w, frames with or without motion frames, C)

    def for_rows(self, rows: int, frames: int) -> "AttentionOutputs":
        """The same outputs for a batch of more rows, each of these rows serving several in turn."""

        def images(x: Tensor) -> Tensor:
            return spread_rows(torch.unflatten(x, 0, (-1, frames)), rows).flatten(0, 2)

        temporal = tuple(spread_rows(x, rows).flatten(0, 1) for x in self.temporal)
        return AttentionOutputs(images(self.reference), images(self.audio), temporal)

    def last_rows(self, rows: int, frames: int) -> "AttentionOutputs":
        """Only the last rows: the conditional ones, for steps that reuse the guidance of an earlier step."""
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
        # In Hallo's checkpoint the blocks without attention have motion modules too, which never run (facts
        # 0, trap 2).
        motion = shape.layers or (len(shape.resnets) if config.unused_motion_modules else 0)
        self.motion_modules = nn.ModuleList(
            [
                MotionModule(width, config.motion_heads, config.max_positions, config.motion_norm_groups)
                for _ in range(motion)
            ]
        )

    def audio_module(self, index: int) -> AudioModule:
        module = self.audio_modules[index]
        assert isinstance(module, AudioModule)
        return module

    def motion_module(self, index: int) -> MotionModule:
        module = self.motion_modules[index]
        assert isinstance(module, MotionModule)
        return module

    def session_layer(
        self, index: int, source: Tensor, identity: Tensor, masks: Tensor, scale: Sequence[float]
    ) -> SessionLayer:
        """Project what a portrait fixes of one layer; arguments as in `Denoiser.prepare_session`."""
        spatial = self.attention(index).block
        return SessionLayer(
            reference=spatial.attn1.keys_values(source),
            identity=spatial.attn2.keys_values(identity),
            audio_mix=self.audio_module(index).mix(masks, scale),
        )

    def clip_layer(
        self, index: int, session: SessionLayer, audio: Tensor, motion: Tensor | None
    ) -> LayerConditions:
        """Add the projections of a clip's audio tokens and motion features."""
        return LayerConditions(
            reference=session.reference,
            identity=session.identity,
            audio_mix=session.audio_mix,
            audio=self.audio_module(index).keys_values(audio),
            motion=None if motion is None else self.motion_module(index).remember(motion),
        )

    def layer(
        self,
        index: int,
        x: Tensor,
        time: Tensor,
        conditions: LayerConditions | RawLayer | None,
        frames: int,
        unconditional: int,
        *,
        foreground: Tensor | None = None,
        background: AttentionOutputs | None = None,
        uncut: Tensor | None = None,
    ) -> tuple[Tensor, AttentionOutputs | None]:
        """One layer: resnet -> spatial attention -> audio -> motion. x: (images, C, h, w); `unconditional`
        counts images.

        Without conditions (blocks without attention) only the resnet runs.
        """
        x = self.resnets[index](x, time)
        if conditions is None:
            return x, None
        rows = x.shape[0] // frames
        own = conditions.for_batch(rows) if isinstance(conditions, RawLayer) else conditions
        kept = None if background is None else background.for_rows(rows, frames)
        reference, audio, temporal = (
            (None, None, None) if kept is None else (kept.reference, kept.audio, kept.temporal)
        )
        x, reference = self.attention(index)(
            x, own.identity, own.reference, unconditional, foreground, reference
        )
        x, audio = self.audio_module(index)(x, own.audio, own.audio_mix, foreground, audio)
        x, temporal = self.motion_module(index)(
            x, frames, own.motion, uncut=uncut, foreground=foreground, background=temporal
        )
        return x, AttentionOutputs(reference, audio, temporal)


def names(shapes: Sequence[BlockShape]) -> list[str]:
    """Layer names of blocks with attention, in order."""
    return [f"{shape.name}.{j}" for shape in shapes for j in range(shape.layers)]
