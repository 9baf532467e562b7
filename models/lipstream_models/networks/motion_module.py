"""Attention over time, per pixel, with the last frames of the previous clip in front."""

import math

import torch
from torch import Tensor, nn

from .attention import Attention, FeedForward, attend
from .conditions import MotionMemory
from .layers import GroupNorm, zero_
from .layouts import spread_rows

ATTENTIONS = 2


class PositionEncoder(nn.Module):
    """Sine and cosine positions, stored in the state dict as `pe` (1, length, C)."""

    pe: Tensor

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        position = torch.arange(length, dtype=torch.float32)[:, None]
        frequency = torch.exp(
            torch.arange(0, channels, 2, dtype=torch.float32) * (-math.log(10000.0) / channels)
        )
        table = torch.stack([torch.sin(position * frequency), torch.cos(position * frequency)], dim=-1)
        self.register_buffer("pe", table.flatten(1)[None])


class TemporalAttention(Attention):
    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__(channels, heads)
        self.pos_encoder = PositionEncoder(channels, length)

    def place(self, normed: Tensor, start: int) -> Tensor:
        """Add positions start, start+1, ... to (..., frames, C)."""
        return normed + self.pos_encoder.pe[0, start : start + normed.shape[-2]].to(normed.dtype)


class TemporalBlock(nn.Module):
    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(
            [TemporalAttention(channels, heads, length) for _ in range(ATTENTIONS)]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(channels) for _ in range(ATTENTIONS)])
        self.ff = FeedForward(channels)
        self.ff_norm = nn.LayerNorm(channels)

    def attention(self, index: int) -> TemporalAttention:
        attention = self.attention_blocks[index]
        assert isinstance(attention, TemporalAttention)
        return attention


class TemporalTransformer(nn.Module):
    def __init__(self, channels: int, heads: int, length: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, length)])
        self.proj_out = nn.Linear(channels, channels)
        zero_(self.proj_out)


class MotionModule(nn.Module):
    """AnimateDiff's motion module. The motion frames in front are raw reference-net features (facts 1.3)."""

    def __init__(self, channels: int, heads: int, length: int, groups: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, length, groups)

    @property
    def block(self) -> TemporalBlock:
        block = self.temporal_transformer.transformer_blocks[0]
        assert isinstance(block, TemporalBlock)
        return block

    def remember(self, features: Tensor) -> MotionMemory:
        """Project motion-frame features (rows, motion, h*w, C) as far as they stay constant: up to the
        first attention.
        """
        transformer = self.temporal_transformer
        rows, motion = features.shape[:2]
        images = features.flatten(0, 1).transpose(1, 2)[..., None]  # (rows*motion, C, h*w, 1)
        normed = torch.unflatten(transformer.norm(images)[..., 0].transpose(1, 2), 0, (rows, motion))
        hidden = transformer.proj_in(normed.transpose(1, 2).contiguous())  # (rows, h*w, motion, C)
        attn = self.block.attention(0)
        placed = attn.place(self.block.norms[0](hidden), 0)
        return MotionMemory(hidden, *attn.queries_keys_values(placed))

    def forward(
        self,
        x: Tensor,
        frames: int,
        memory: MotionMemory | Tensor | None,
        *,
        uncut: Tensor | None = None,
        foreground: Tensor | None = None,
        background: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(rows*frames, C, h, w) -> (rows*frames, C, h, w) and the outputs of the temporal attentions
        (rows, h*w, ., C).

        The motion frames are cut off at the end, which spares their feed-forward. Given the raw motion-
        frame features as `uncut` (rows, motion, h*w, C), they stay in front and the result has
        rows*(motion+frames) images. `foreground` and `background`: only those pixels attend, the others
        take the given outputs. `memory` may be the raw features too, see `_carry`.
        """
        if isinstance(memory, Tensor):
            return self._carry(x, frames, memory, uncut is not None, foreground, background)
        transformer = self.temporal_transformer
        _, channels, height, width = x.shape
        rows, count = x.shape[0] // frames, height * width
        images = transformer.norm(x).permute(0, 2, 3, 1).reshape(rows, frames, count, channels)
        # Contiguous, because linear layers multiply anything else as a batch, with a copy of the weights for each pixel.
        own = transformer.proj_in(images.transpose(1, 2).contiguous())  # (rows, h*w, frames, C)
        past = None
        if memory is not None:
            past = memory.map(lambda m: spread_rows(m, rows).flatten(0, 1))
        hidden, first = self._attend_first(
            own, past, foreground, None if background is None else background[0]
        )
        cut = 0 if past is None or uncut is not None else past.hidden.shape[2]
        hidden, second = self._attend_second(
            hidden, cut, foreground, None if background is None else background[1]
        )
        hidden = hidden + self.block.ff(self.block.ff_norm(hidden))
        result = transformer.proj_out(hidden).transpose(1, 2)  # (rows, [motion+]frames, h*w, C)
        result = torch.unflatten(result, 2, (height, width)).flatten(0, 1).permute(0, 3, 1, 2)
        if uncut is not None:
            past_images = torch.unflatten(uncut, 2, (height, width)).permute(0, 1, 4, 2, 3)
            x = torch.cat([past_images, torch.unflatten(x, 0, (rows, frames))], dim=1).flatten(0, 1)
        return x + result, (first, second)

    def _carry(
        self,
        x: Tensor,
        frames: int,
        features: Tensor,
        keep: bool,
        foreground: Tensor | None,
        background: tuple[Tensor, ...] | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """`forward` at the released cost: raw motion features (rows, motion, h*w, C) are projected here and carried to
        the end, where they are dropped unless `keep`.
        """
        rows, motion = features.shape[:2]
        memory = self.remember(features)
        images, outputs = self(
            x, frames, memory, uncut=features, foreground=foreground, background=background
        )
        if not keep:
            images = torch.unflatten(images, 0, (rows, -1))[:, motion:].flatten(0, 1)
            images = images.contiguous(memory_format=torch.channels_last)
        return images, outputs

    def _attend_first(
        self, own: Tensor, past: MotionMemory | None, foreground: Tensor | None, background: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """First attention on (rows, h*w, frames, C); the result has the motion frames in front."""
        attn = self.block.attention(0)
        whole = own if past is None else torch.cat([past.hidden, own], dim=2)
        if foreground is not None and background is not None:
            own = own[:, foreground]
            past = None if past is None else past.map(lambda m: m[:, foreground])
        start = 0 if past is None else past.hidden.shape[2]
        placed = attn.place(self.block.norms[0](own), start)
        query, key, value = attn.queries_keys_values(placed)
        if past is not None:
            query = torch.cat([past.query, query], dim=2)
            key = torch.cat([past.key, key], dim=2)
            value = torch.cat([past.value, value], dim=2)
        output = _over_time(attn, query, key, value)
        if foreground is not None and background is not None:
            output = background.index_copy(1, foreground, output)
        return whole + output, output

    def _attend_second(
        self, hidden: Tensor, cut: int, foreground: Tensor | None, background: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Second attention; from here on only frames `cut` and later ask."""
        attn = self.block.attention(1)
        inside = hidden if foreground is None or background is None else hidden[:, foreground]
        placed = attn.place(self.block.norms[1](inside), 0)
        seen = attn.keys_values(placed)
        output = _over_time(attn, attn.to_q(placed[:, :, cut:].contiguous()), seen.key, seen.value)
        hidden = hidden[:, :, cut:]
        if foreground is not None and background is not None:
            output = background.index_copy(1, foreground, output)
        return hidden + output, output


def _over_time(attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention within each pixel on (rows, h*w, frames, C)."""
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    return torch.unflatten(attn.output(attend(q, k, v, attn.heads)), 0, query.shape[:2])
