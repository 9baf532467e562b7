"""Motion module: attention over time at each position, with the last frames of the previous window in front."""

import math

import torch
from torch import Tensor, nn

from .attention import Attention, FeedForward, attend
from .conditions import MotionProjections
from .layers import GroupNorm, zero_
from .layouts import expand_rows

ATTENTIONS = 2


class PositionEncoder(nn.Module):
    """Sine and cosine position table, stored in the state dict as ``pe`` (1, length, C)."""

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
    """Attention over frames with a position table."""

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__(channels, heads)
        self.pos_encoder = PositionEncoder(channels, length)

    def add_positions(self, normed: Tensor, start: int) -> Tensor:
        """Add positions start, start+1, ... to tokens (..., frames, C)."""
        return normed + self.pos_encoder.pe[0, start : start + normed.shape[-2]].to(normed.dtype)


class TemporalBlock(nn.Module):
    """Two temporal attentions and a feed-forward; `MotionModule` runs them."""

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(
            [TemporalAttention(channels, heads, length) for _ in range(ATTENTIONS)]
        )
        self.norms = nn.ModuleList([nn.LayerNorm(channels) for _ in range(ATTENTIONS)])
        self.ff = FeedForward(channels)
        self.ff_norm = nn.LayerNorm(channels)

    def attention(self, index: int) -> TemporalAttention:
        """Return one of the two attentions."""
        attention = self.attention_blocks[index]
        assert isinstance(attention, TemporalAttention)
        return attention


class TemporalTransformer(nn.Module):
    """Normalisation, projections and the temporal block; the output starts as zero."""

    def __init__(self, channels: int, heads: int, length: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, length)])
        self.proj_out = nn.Linear(channels, channels)
        zero_(self.proj_out)


class MotionModule(nn.Module):
    """Motion module of AnimateDiff. Motion frames come in front, as features of the reference network (Hallo)."""

    def __init__(self, channels: int, heads: int, length: int, groups: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, length, groups)

    @property
    def block(self) -> TemporalBlock:
        """The only transformer block."""
        block = self.temporal_transformer.transformer_blocks[0]
        assert isinstance(block, TemporalBlock)
        return block

    def project_motion_frames(self, features: Tensor) -> MotionProjections:
        """Project motion features (rows, M, h*w, C) up to the first attention; until there they are constant."""
        transformer = self.temporal_transformer
        rows, motion = features.shape[:2]
        images = features.flatten(0, 1).transpose(1, 2)[..., None]  # (rows*motion, C, h*w, 1)
        normed = torch.unflatten(transformer.norm(images)[..., 0].transpose(1, 2), 0, (rows, motion))
        hidden = transformer.proj_in(normed.transpose(1, 2).contiguous())  # (rows, h*w, motion, C)
        attn = self.block.attention(0)
        positioned = attn.add_positions(self.block.norms[0](hidden), 0)
        return MotionProjections(hidden, *attn.queries_keys_values(positioned))

    def forward(
        self,
        x: Tensor,
        frames: int,
        motion: MotionProjections | Tensor | None,
        *,
        leading_motion: Tensor | None = None,
        foreground: Tensor | None = None,
        background: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Attend over frames.

        The motion frames are dropped before the second attention's queries, which spares their feed-forward.

        Args:
            x: images (rows*frames, C, h, w).
            frames: frames of a row.
            motion: projected motion frames, or unprojected motion features (rows, M, h*w, C), or None.
            leading_motion: unprojected motion features (rows, M, h*w, C): motion frames then stay in front.
            foreground: token indices (L,) that attend.
            background: attention outputs (rows, h*w, ., C) of all other tokens.

        Returns:
            Images (rows*frames, C, h, w), or (rows*(M+frames), C, h, w) with ``leading_motion``, and the outputs
            of the two temporal attentions (rows, h*w, ., C).
        """
        if isinstance(motion, Tensor):
            return self._forward_unprojected(
                x, frames, motion, leading_motion is not None, foreground, background
            )
        transformer = self.temporal_transformer
        _, channels, height, width = x.shape
        rows, count = x.shape[0] // frames, height * width
        images = transformer.norm(x).permute(0, 2, 3, 1).reshape(rows, frames, count, channels)
        # Contiguous, because linear layers multiply other layouts as a batch, with a copy of the weights for each token.
        own = transformer.proj_in(images.transpose(1, 2).contiguous())  # (rows, h*w, frames, C)
        past = None
        if motion is not None:
            past = motion.map(lambda m: expand_rows(m, rows).flatten(0, 1))
        hidden, first = self._attend_first(
            own, past, foreground, None if background is None else background[0]
        )
        cut = 0 if past is None or leading_motion is not None else past.hidden.shape[2]
        hidden, second = self._attend_second(
            hidden, cut, foreground, None if background is None else background[1]
        )
        hidden = hidden + self.block.ff(self.block.ff_norm(hidden))
        result = transformer.proj_out(hidden).transpose(1, 2)  # (rows, [motion+]frames, h*w, C)
        result = torch.unflatten(result, 2, (height, width)).flatten(0, 1).permute(0, 3, 1, 2)
        if leading_motion is not None:
            past_images = torch.unflatten(leading_motion, 2, (height, width)).permute(0, 1, 4, 2, 3)
            x = torch.cat([past_images, torch.unflatten(x, 0, (rows, frames))], dim=1).flatten(0, 1)
        return x + result, (first, second)

    def _forward_unprojected(
        self,
        x: Tensor,
        frames: int,
        features: Tensor,
        keep: bool,
        foreground: Tensor | None,
        background: tuple[Tensor, ...] | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run `forward` at the released cost.

        Motion features (rows, M, h*w, C) are projected here and carried to the end, where they are dropped unless
        ``keep`` is set.
        """
        rows, count = features.shape[:2]
        motion = self.project_motion_frames(features)
        images, outputs = self(
            x, frames, motion, leading_motion=features, foreground=foreground, background=background
        )
        if not keep:
            images = torch.unflatten(images, 0, (rows, -1))[:, count:].flatten(0, 1)
            images = images.contiguous(memory_format=torch.channels_last)
        return images, outputs

    def _attend_first(
        self,
        own: Tensor,
        past: MotionProjections | None,
        foreground: Tensor | None,
        background: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Run the first attention: (rows, h*w, frames, C) -> (rows, h*w, M + frames, C)."""
        attn = self.block.attention(0)
        hidden = own if past is None else torch.cat([past.hidden, own], dim=2)
        if foreground is not None and background is not None:
            own = own[:, foreground]
            past = None if past is None else past.map(lambda m: m[:, foreground])
        start = 0 if past is None else past.hidden.shape[2]
        positioned = attn.add_positions(self.block.norms[0](own), start)
        query, key, value = attn.queries_keys_values(positioned)
        if past is not None:
            query = torch.cat([past.query, query], dim=2)
            key = torch.cat([past.key, key], dim=2)
            value = torch.cat([past.value, value], dim=2)
        output = _attend_over_time(attn, query, key, value)
        if foreground is not None and background is not None:
            output = background.index_copy(1, foreground, output)
        return hidden + output, output

    def _attend_second(
        self, hidden: Tensor, cut: int, foreground: Tensor | None, background: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Run the second attention on (rows, h*w, frames, C), with queries of frames ``cut`` and later."""
        attn = self.block.attention(1)
        inside = hidden if foreground is None or background is None else hidden[:, foreground]
        positioned = attn.add_positions(self.block.norms[1](inside), 0)
        context = attn.keys_values(positioned)
        output = _attend_over_time(
            attn, attn.to_q(positioned[:, :, cut:].contiguous()), context.key, context.value
        )
        hidden = hidden[:, :, cut:]
        if foreground is not None and background is not None:
            output = background.index_copy(1, foreground, output)
        return hidden + output, output


def _attend_over_time(attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend over frames at each token: (rows, h*w, frames, C) -> (rows, h*w, frames, C)."""
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    return torch.unflatten(attn.output(attend(q, k, v, attn.heads)), 0, query.shape[:2])
