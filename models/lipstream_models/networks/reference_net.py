"""Reference network: the 2D UNet of SD-1.5, run at timestep 0, read at the first norm of every spatial attention."""

import torch
from torch import Tensor, nn

from ..config import NetworkConfig
from .block_shapes import down_shapes, mid_shape, up_shapes
from .blocks import ReferenceBlock
from .timestep_embedding import TimestepEmbedding


class ReferenceNet(nn.Module):
    """The UNet without output convolution. Nothing after the last feature is computed, because nothing reads it."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.block_out_channels[0]
        self.conv_in = nn.Conv2d(config.latent_channels, width, 3, padding=1)
        self.time_embedding = TimestepEmbedding(width)
        self.down_blocks = nn.ModuleList([ReferenceBlock(shape, config) for shape in down_shapes(config)])
        self.mid_block = ReferenceBlock(mid_shape(config), config)
        self.up_blocks = nn.ModuleList([ReferenceBlock(shape, config) for shape in up_shapes(config)])

    def forward(self, latents: Tensor, identity: Tensor) -> dict[str, Tensor]:
        """Return the reference features: for every layer with attention its normalised tokens (images, h*w, C).

        Args:
            latents: (images, L, h, w).
            identity: identity tokens (images, T, cross), one set for each image.
        """
        time = self.time_embedding(torch.zeros(1, device=latents.device))
        features: dict[str, Tensor] = {}
        x = self.conv_in(latents.contiguous(memory_format=torch.channels_last))
        skips = [x]
        for block in self._blocks(self.down_blocks):
            for j in range(len(block.resnets)):
                x = self._layer(block, j, x, time, identity, features)
                skips.append(x)
            if block.shape.downsample:
                x = block.resample(x)
                skips.append(x)
        x = self._layer(self.mid_block, 0, x, time, identity, features)
        x = self.mid_block.resnets[1](x, time)
        for block in self._blocks(self.up_blocks):
            for j in range(len(block.resnets)):
                last = not block.shape.upsample and j == len(block.resnets) - 1
                x = torch.cat([x, skips.pop()], dim=1)
                x = self._layer(block, j, x, time, identity, features, last=last)
            x = block.resample(x)
        return features

    def _layer(
        self,
        block: ReferenceBlock,
        index: int,
        x: Tensor,
        time: Tensor,
        identity: Tensor,
        features: dict[str, Tensor],
        last: bool = False,
    ) -> Tensor:
        x = block.resnets[index](x, time)
        if index < block.shape.layers:
            name = f"{block.shape.name}.{index}"
            if last:
                features[name] = block.attention(index).feature(x)[1]
            else:
                x, features[name] = block.attention(index).forward_reference(x, identity)
        return x

    @staticmethod
    def _blocks(modules: nn.ModuleList) -> list[ReferenceBlock]:
        return [module for module in modules if isinstance(module, ReferenceBlock)]
