"""Shapes of the blocks of both UNets, from a network configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import NetworkConfig


@dataclass(frozen=True)
class BlockShape:
    """Shape of one block.

    Attributes:
        name: prefix of its names in the state dict.
        level: depth in the mask pyramid; 0 is the finest.
        resnets: (in, out) channels of each residual block.
        attention: whether layers have attention; otherwise only the resnets run.
        audio: inner width of the audio module of each layer.
        downsample: whether the block ends with downsampling.
        upsample: whether the block ends with upsampling.
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
        """Channels after the block."""
        return self.resnets[-1][1]

    @property
    def layers(self) -> int:
        """Number of layers with attention."""
        return len(self.audio) if self.attention else 0


def down_shapes(config: NetworkConfig) -> list[BlockShape]:
    """Return the shapes of the encoder blocks D0, D1, ..."""
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
    """Return the shape of the mid block: two resnets around one layer of attention."""
    width = config.block_out_channels[-1]
    return BlockShape("mid_block", config.levels - 1, ((width, width), (width, width)), True, (width,))


def up_shapes(config: NetworkConfig) -> list[BlockShape]:
    """Return the shapes of the decoder blocks U0, U1, ...

    The resnet of each layer takes [hidden, skip]. Audio modules have the width of the next finer level.
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


def attention_layer_names(shapes: Sequence[BlockShape]) -> list[str]:
    """Return the names of layers with attention, in order of execution."""
    return [f"{shape.name}.{j}" for shape in shapes for j in range(shape.layers)]
