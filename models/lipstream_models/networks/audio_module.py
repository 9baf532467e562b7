"""Audio module: self-attention, audio cross attention in three regions (full frame, face, lips), feed-forward."""

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
from .layouts import expand_rows, to_images, to_tokens
from .unprojected_conditions import UnprojectedAudio

REGIONS = ("full", "face", "lip")


class AudioBlock(nn.Module):
    """Layers of an audio module under Hallo's names; `AudioModule` runs them."""

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
        """Cross attentions of the three regions."""
        return self.attn2_0, self.attn2_1, self.attn2_2

    @property
    def convs(self) -> tuple[PointwiseConv, PointwiseConv, PointwiseConv]:
        """Zero-initialised 1x1 convolutions of the three regions."""
        return self.zero_conv_full, self.zero_conv_face, self.zero_conv_lip


class AudioModule(nn.Module):
    """Audio attention of one layer. ``inner`` may be narrower than ``channels`` (models/README.md, trap 3)."""

    def __init__(self, channels: int, inner: int, heads: int, audio_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = PointwiseConv(channels, inner)
        self.transformer_blocks = nn.ModuleList([AudioBlock(inner, heads, audio_channels)])
        self.proj_out = PointwiseConv(inner, channels)

    @property
    def block(self) -> AudioBlock:
        """The only transformer block."""
        block = self.transformer_blocks[0]
        assert isinstance(block, AudioBlock)
        return block

    def fold_regions(self, masks: Tensor, motion_scale: Sequence[float]) -> AudioMix:
        """Fold the three regions into one attention; masks (rows|1, frames|1, h*w, 3).

        Hallo computes sum_r s_r * conv_r(mask_r * out_r(a_r)) over regions r. The mask is one number for each token,
        so it commutes with the 1x1 convolution: with W_r = conv_r out_r the sum is [m_r s_r a_r]_r [W_r]^T plus a
        bias for each token. This takes one product instead of six.
        """
        block = self.block
        dtype = block.norm2.weight.dtype
        scale = torch.tensor(list(motion_scale), dtype=torch.float32, device=masks.device)
        outs = [attn.linear_out for attn in block.attentions]
        matrices = [conv.matrix.float() for conv in block.convs]
        output = torch.cat([m @ out.weight.float() for m, out in zip(matrices, outs, strict=True)], dim=1)
        masked_biases = torch.stack([m @ out.bias.float() for m, out in zip(matrices, outs, strict=True)])
        offsets = torch.stack([conv.bias.float() for conv in block.convs if conv.bias is not None])
        weights = masks.float() * scale
        return AudioMix(
            query=torch.cat([attn.to_q.weight for attn in block.attentions]),
            output=output.to(dtype),
            weights=weights[..., None].to(dtype),
            bias=(weights @ masked_biases + scale @ offsets).to(dtype),
        )

    def keys_values(self, audio: Tensor) -> KeyValue:
        """Audio tokens (rows, frames, T, audio channels) -> keys and values (rows, frames, T, 3*inner) of all regions."""
        attentions = self.block.attentions
        layers = [attn.to_k for attn in attentions] + [attn.to_v for attn in attentions]
        return KeyValue(*project(audio, *layers).chunk(2, dim=-1))

    def forward(
        self,
        x: Tensor,
        audio: KeyValue | UnprojectedAudio,
        mix: AudioMix | None,
        foreground: Tensor | None = None,
        background: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Add audio to images.

        Args:
            x: (images, C, h, w).
            audio: projected keys and values (rows, frames, T, 3*inner), or unprojected tokens.
            mix: folded regions, for projected audio.
            foreground: token indices (L,) of the face: self-attention runs among them only.
            background: self-attention outputs (images, h*w, inner) of the other tokens.

        Returns:
            Images (images, C, h, w), and the self-attention output (images, h*w, inner).
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
        if isinstance(audio, UnprojectedAudio):
            attended = self._cross_attend_unprojected(normed, audio)
        else:
            assert mix is not None
            attended = self._cross_attend(normed, audio, mix)
        tokens = tokens + attended
        tokens = tokens + block.ff(block.norm3(tokens))
        return to_images(self.proj_out(tokens), x.shape[2], x.shape[3]) + x, attention

    def _cross_attend(self, normed: Tensor, audio: KeyValue, mix: AudioMix) -> Tensor:
        """Run the three cross attentions as one with three times the heads: (images, N, inner) -> (images, N, inner)."""
        images, count, inner = normed.shape
        rows, frames = audio.key.shape[:2]
        steps = images // (rows * frames)
        key, value = (expand_rows(kv, rows * steps).flatten(0, 2) for kv in (audio.key, audio.value))
        heads = len(REGIONS) * self.block.attn1.heads
        attended = attend(F.linear(normed, mix.query), key, value, heads)
        # (rows, steps, frames, N, 3, inner) times (rows|1, 1, frames|1, N, 3, 1)
        attended = attended.reshape(rows, steps, frames, count, len(REGIONS), inner) * mix.weights[:, None]
        result = F.linear(attended.flatten(-2), mix.output) + mix.bias[:, None]
        return result.view(images, count, inner)

    def _cross_attend_unprojected(self, normed: Tensor, audio: UnprojectedAudio) -> Tensor:
        """Run the same at the released cost: three attentions that project the audio, and mask their output."""
        block = self.block
        attended = torch.zeros_like(normed)
        for region, (attn, conv) in enumerate(zip(block.attentions, block.convs, strict=True)):
            mask = audio.masks[..., region, None].to(normed.dtype)
            branch = conv(attn(normed, attn.keys_values(audio.tokens)) * mask)
            attended = attended + audio.scale[region] * branch
        return attended
