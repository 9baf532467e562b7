"""Audio into the picture: self-attention, then cross attention in three regions (whole picture, face,
lips), then a feed-forward.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import (
    Attention,
    FeedForward,
    attend,
    project,
)
from .conditions import AudioMix, KeyValue
from .layers import GroupNorm, PointwiseConv, zero_
from .layouts import spread_rows, to_images, to_tokens
from .unprojected_conditions import RawAudio

REGIONS = ("full", "face", "lip")


class AudioBlock(nn.Module):
    def __init__(self, channels: int, heads: int, audio_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2_0 = Attention(channels, heads, audio_channels)
        self.attn2_1 = Attention(channels, heads, audio_channels)
        self.attn2_2 = Attention(channels, heads, audio_channels)
        self.zero_conv_full = PointwiseConv(channels, channels)
        self.zero_conv_face = PointwiseConv(channels, channels)
        self.zero_conv_lip = PointwiseConv(channels, channels)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)
        for conv in self.convs:
            zero_(conv)

    @property
    def attentions(self) -> tuple[Attention, Attention, Attention]:
        return self.attn2_0, self.attn2_1, self.attn2_2

    @property
    def convs(self) -> tuple[PointwiseConv, PointwiseConv, PointwiseConv]:
        return self.zero_conv_full, self.zero_conv_face, self.zero_conv_lip


class AudioModule(nn.Module):
    """`inner` may be narrower than `channels` (facts 0, trap 3)."""

    def __init__(self, channels: int, inner: int, heads: int, audio_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = PointwiseConv(channels, inner)
        self.transformer_blocks = nn.ModuleList([AudioBlock(inner, heads, audio_channels)])
        self.proj_out = PointwiseConv(inner, channels)

    @property
    def block(self) -> AudioBlock:
        block = self.transformer_blocks[0]
        assert isinstance(block, AudioBlock)
        return block

    def mix(self, masks: Tensor, motion_scale: Sequence[float]) -> AudioMix:
        """Fold the three branches. masks: (rows|1, frames|1, h*w, 3).

        Hallo computes sum_r s_r * conv_r(mask_r * out_r(a_r)). The mask is one number per token, so it
        commutes with the 1x1 convolution: with W_r = conv_r out_r, the sum is [m_r s_r a_r]_r [W_r]^T plus
        a bias per token. One product instead of six.
        """
        block = self.block
        dtype = block.norm2.weight.dtype
        scale = torch.tensor(list(motion_scale), dtype=torch.float32, device=masks.device)
        outs = [attn.linear_out for attn in block.attentions]
        matrices = [conv.matrix.float() for conv in block.convs]
        output = torch.cat([m @ out.weight.float() for m, out in zip(matrices, outs, strict=True)], dim=1)
        leaks = torch.stack([m @ out.bias.float() for m, out in zip(matrices, outs, strict=True)])
        offsets = torch.stack([conv.bias.float() for conv in block.convs if conv.bias is not None])
        weights = masks.float() * scale
        return AudioMix(
            query=torch.cat([attn.to_q.weight for attn in block.attentions]),
            output=output.to(dtype),
            weights=weights[..., None].to(dtype),
            bias=(weights @ leaks + scale @ offsets).to(dtype),
        )

    def keys_values(self, audio: Tensor) -> KeyValue:
        """(rows, frames, T, audio channels) tokens -> keys and values (rows, frames, T, 3*inner) of the
        three branches.
        """
        attentions = self.block.attentions
        layers = [attn.to_k for attn in attentions] + [attn.to_v for attn in attentions]
        return KeyValue(*project(audio, *layers).chunk(2, dim=-1))

    def forward(
        self,
        x: Tensor,
        audio: KeyValue | RawAudio,
        mix: AudioMix | None,
        foreground: Tensor | None = None,
        background: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(images, C, h, w) -> the same, and the output of the self-attention (images, h*w, inner).

        Audio is either projected, with the mix of the branches, or raw without one.
        `foreground` and `background` act on the self-attention as in SpatialTransformer.
        """
        block = self.block
        tokens = self.proj_in(to_tokens(self.norm(x)))
        normed = block.norm1(tokens)
        if foreground is None or background is None:
            attention = block.attn1(normed)
        else:
            fresh = block.attn1(normed[:, foreground])
            attention = background.index_copy(1, foreground, fresh)
        tokens = tokens + attention
        normed = block.norm2(tokens)
        if isinstance(audio, RawAudio):
            heard = self._hear_apart(normed, audio)
        else:
            assert mix is not None
            heard = self._hear(normed, audio, mix)
        tokens = tokens + heard
        tokens = tokens + block.ff(block.norm3(tokens))
        return to_images(self.proj_out(tokens), x.shape[2], x.shape[3]) + x, attention

    def _hear(self, normed: Tensor, audio: KeyValue, mix: AudioMix) -> Tensor:
        """The three cross attentions as one with three times the heads; (images, N, inner) -> the same."""
        images, count, inner = normed.shape
        rows, frames = audio.key.shape[:2]
        steps = images // (rows * frames)
        key, value = (spread_rows(kv, rows * steps).flatten(0, 2) for kv in (audio.key, audio.value))
        heads = len(REGIONS) * self.block.attn1.heads
        heard = attend(F.linear(normed, mix.query), key, value, heads)
        # (rows, steps, frames, N, 3, inner) times (rows|1, 1, frames|1, N, 3, 1)
        heard = heard.reshape(rows, steps, frames, count, len(REGIONS), inner) * mix.weights[:, None]
        result = F.linear(heard.flatten(-2), mix.output) + mix.bias[:, None]
        return result.view(images, count, inner)

    def _hear_apart(self, normed: Tensor, audio: RawAudio) -> Tensor:
        """The same at the released cost: three attentions that project the audio and mask what they heard."""
        block = self.block
        heard = torch.zeros_like(normed)
        for region, (attn, conv) in enumerate(zip(block.attentions, block.convs, strict=True)):
            mask = audio.masks[..., region, None].to(normed.dtype)
            branch = conv(attn(normed, attn.keys_values(audio.tokens)) * mask)
            heard = heard + audio.scale[region] * branch
        return heard
