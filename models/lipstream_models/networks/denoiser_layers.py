"""Layers of the denoising UNet and the stretches between its cut points, on images (rows*frames, C, h, w)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import NetworkConfig, SchedulerConfig
from ..errors import LipstreamError
from .block_shapes import (
    attention_layer_names,
    down_shapes,
    mid_shape,
    up_shapes,
)
from .blocks import AttentionOutputs, DenoisingBlock
from .conditions import Conditions
from .layers import GroupNorm
from .layouts import expand_rows
from .timestep_embedding import TimestepEmbedding


class ConditionsError(LipstreamError):
    """Latents and conditions do not match."""


@dataclass(frozen=True)
class EncoderFeatures:
    """Input of the decoder: skips in order of creation, finest first, and the output of the mid block."""

    skips: tuple[Tensor, ...]
    middle: Tensor

    def last_rows(self, rows: int) -> "EncoderFeatures":
        """Return the last rows (the conditional ones)."""
        return EncoderFeatures(tuple(skip[-rows:] for skip in self.skips), self.middle[-rows:])


@dataclass(frozen=True)
class EvaluationContext:
    """One evaluation: activated time embedding (1|rows, T), conditions, and number of batch rows."""

    time: Tensor
    conditions: Conditions
    rows: int

    @property
    def unconditional(self) -> int:
        """Number of images at the front without reference tokens."""
        conditions = self.conditions
        return conditions.unconditional * (self.rows // conditions.rows) * conditions.frames

    def images(self, feature: Tensor) -> Tensor:
        """(r, frames, C, h, w) -> (rows*frames, C, h, w), each row repeated rows/r times."""
        return expand_rows(feature, self.rows).flatten(0, 2)

    def feature(self, images: Tensor) -> Tensor:
        """(rows*frames, C, h, w) -> (rows, frames, C, h, w)."""
        return torch.unflatten(images, 0, (self.rows, -1))


class DenoiserLayers(nn.Module):
    """Modules under Hallo's names, and the stretches between the cut points of `Denoiser`."""

    input_gain: Tensor | None

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.block_out_channels[0]
        self.conv_in = nn.Conv2d(config.sample_channels, width, 3, padding=1)
        self.time_embedding = TimestepEmbedding(width)
        self.down_blocks = nn.ModuleList([DenoisingBlock(shape, config) for shape in down_shapes(config)])
        self.mid_block = DenoisingBlock(mid_shape(config), config)
        self.up_blocks = nn.ModuleList([DenoisingBlock(shape, config) for shape in up_shapes(config)])
        self.conv_norm_out = GroupNorm(config.norm_groups, width, eps=1e-5)
        self.conv_out = nn.Conv2d(width, config.sample_channels, 3, padding=1)
        self.register_buffer(
            "input_gain", torch.ones(SchedulerConfig.num_train_timesteps) if config.input_gain else None
        )

    def set_input_gain(self, alphas_cumprod: Tensor) -> None:
        """Set the gain of latents at each timestep to sqrt(alphas_cumprod), given as (1000,).

        At high noise the first features then come from the conditions, the only information there. With latents of
        unit variance at all timesteps, as in Hallo, a network must first learn to ignore the noise. EDM calls such a
        factor c_in.
        """
        if self.input_gain is None:
            raise ConditionsError("this network's configuration has no input gain")
        self.input_gain.copy_(alphas_cumprod.sqrt())

    @property
    def layer_names(self) -> list[str]:
        """Names of layers with attention, in order of execution."""
        return attention_layer_names([block.shape for block in self._all_blocks()])

    def _context(
        self, t: Tensor | float, conditions: Conditions, rows: int, device: torch.device
    ) -> EvaluationContext:
        if rows % conditions.rows:
            raise ConditionsError(
                f"{rows} rows of latents are not a multiple of {conditions.rows} rows of conditions"
            )
        steps = torch.as_tensor(t, device=device).reshape(-1)
        if steps.numel() not in (1, rows):
            raise ConditionsError(f"expected 1 or {rows} timesteps, got {steps.numel()}")
        return EvaluationContext(self.time_embedding(steps), conditions, rows)

    def _stem(self, z: Tensor, t: Tensor | float, conditions: Conditions) -> tuple[EvaluationContext, Tensor]:
        """Return the context, and conv_in plus the face-locator feature (the first skip)."""
        rows, channels, frames, height, width = z.shape
        multiple = self.config.size_multiple
        if channels != self.config.sample_channels or height % multiple or width % multiple:
            raise ConditionsError(
                f"latents {tuple(z.shape)}: expected {self.config.sample_channels} channels and a height and "
                f"width that are multiples of {multiple}"
            )
        if frames != conditions.frames:
            raise ConditionsError(f"latents have {frames} frames, the conditions {conditions.frames}")
        run = self._context(t, conditions, rows, z.device)
        if self.input_gain is not None:
            timesteps = torch.as_tensor(t, device=z.device).reshape(-1, 1, 1, 1, 1).long()
            z = z * self.input_gain[timesteps].to(z.dtype)
        images = z.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = self.conv_in(images)
        if conditions.face is not None:
            steps = rows // conditions.rows
            x = torch.unflatten(x, 0, (conditions.rows, steps, frames)) + conditions.face[:, None]
            x = x.flatten(0, 2)
        return run, x

    def _encode(self, run: EvaluationContext, stem: Tensor) -> EncoderFeatures:
        x, skips = stem, [stem]
        for block in self._blocks(self.down_blocks):
            for j in range(len(block.resnets)):
                x = self._layer(run, block, j, x)
                skips.append(x)
            if block.shape.downsample:
                x = block.resample(x)
                skips.append(x)
        x = self._layer(run, self.mid_block, 0, x)
        return EncoderFeatures(tuple(skips), self.mid_block.resnets[1](x, run.time))

    def _decode_deep(self, run: EvaluationContext, encoder: EncoderFeatures) -> Tensor:
        """Run all up layers but the last two -> f_U30."""
        x, skips = encoder.middle, list(encoder.skips)
        blocks = self._blocks(self.up_blocks)
        for block in blocks:
            count = len(block.resnets) - (2 if block is blocks[-1] else 0)
            for j in range(count):
                x = self._layer(run, block, j, torch.cat([x, skips.pop()], dim=1))
            x = block.resample(x)
        return x

    def _layer_u31(
        self, run: EvaluationContext, f_u30: Tensor, d00: Tensor, leading_motion: Tensor | None = None
    ) -> Tensor:
        block = self._blocks(self.up_blocks)[-1]
        return self._layer(run, block, len(block.resnets) - 2, torch.cat([f_u30, d00], dim=1), leading_motion)

    def _last_layer(
        self,
        run: EvaluationContext,
        f_u31: Tensor,
        stem: Tensor,
        foreground: Tensor | None,
        background: AttentionOutputs | None,
    ) -> tuple[Tensor, AttentionOutputs]:
        """Run U_32 and the output convolution -> prediction and attention outputs."""
        block = self._blocks(self.up_blocks)[-1]
        index = len(block.resnets) - 1
        x, outputs = block.run_layer(
            index,
            torch.cat([f_u31, stem], dim=1),
            run.time,
            run.conditions.layers[f"{block.shape.name}.{index}"],
            run.conditions.frames,
            run.unconditional,
            foreground=foreground,
            background=background,
        )
        assert outputs is not None
        x = self.conv_out(F.silu(self.conv_norm_out(x)))
        return run.feature(x).transpose(1, 2), outputs

    def _layer(
        self,
        run: EvaluationContext,
        block: DenoisingBlock,
        index: int,
        x: Tensor,
        leading_motion: Tensor | None = None,
    ) -> Tensor:
        conditions = run.conditions.layers.get(f"{block.shape.name}.{index}")
        return block.run_layer(
            index,
            x,
            run.time,
            conditions,
            run.conditions.frames,
            run.unconditional,
            leading_motion=leading_motion,
        )[0]

    def _all_blocks(self) -> list[DenoisingBlock]:
        return [*self._blocks(self.down_blocks), self.mid_block, *self._blocks(self.up_blocks)]

    @staticmethod
    def _blocks(modules: nn.ModuleList) -> list[DenoisingBlock]:
        return [module for module in modules if isinstance(module, DenoisingBlock)]
