"""Spatial transformer: attention to own and reference tokens, attention to identity tokens, feed-forward."""

import torch
from torch import Tensor, nn

from .attention import Attention, FeedForward, attend
from .conditions import KeyValue
from .layers import GroupNorm, PointwiseConv
from .layouts import to_images, to_tokens


class SpatialBlock(nn.Module):
    """Layers of a spatial transformer under the names of diffusers."""

    def __init__(self, channels: int, heads: int, cross_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads, cross_channels)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def after_self_attention(self, tokens: Tensor, identity: KeyValue) -> Tensor:
        """Run identity attention and feed-forward on tokens (images, h*w, C).

        All tokens of an identity row are queries of one attention, so that identity tokens need not be repeated.
        """
        grouped = self.norm2(tokens).reshape(identity.key.shape[0], -1, tokens.shape[-1])
        tokens = tokens + self.attn2(grouped, identity).view_as(tokens)
        result: Tensor = tokens + self.ff(self.norm3(tokens))
        return result


class SpatialTransformer(nn.Module):
    """Used by both UNets: `forward_reference` in the reference network, `forward` in the denoiser."""

    def __init__(self, channels: int, heads: int, cross_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = PointwiseConv(channels, channels)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, heads, cross_channels)])
        self.proj_out = PointwiseConv(channels, channels)

    @property
    def block(self) -> SpatialBlock:
        """The only transformer block."""
        block = self.transformer_blocks[0]
        assert isinstance(block, SpatialBlock)
        return block

    def feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(images, C, h, w) -> tokens, and normalised tokens (the reference feature), both (images, h*w, C)."""
        tokens: Tensor = self.proj_in(to_tokens(self.norm(x)))
        return tokens, self.block.norm1(tokens)

    def forward_reference(self, x: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Run plain self-attention, for the reference network.

        Images (images, C, h, w) and identity tokens (images, T, cross) -> images (images, C, h, w) and reference
        feature (images, h*w, C).
        """
        block = self.block
        tokens, feature = self.feature(x)
        tokens = tokens + block.attn1(feature)
        return self._project_out(
            x, block.after_self_attention(tokens, block.attn2.keys_values(identity))
        ), feature

    def forward(
        self,
        x: Tensor,
        identity: KeyValue | Tensor,
        reference: KeyValue | Tensor | None,
        unconditional: int,
        foreground: Tensor | None = None,
        background: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the transformer in the denoiser.

        Args:
            x: images (images, C, h, w).
            identity: projected (rows, T, C), or unprojected (images, T, cross).
            reference: projected (conditional rows, variants, h*w, C), or unprojected (images, h*w, C), or None.
            unconditional: number of images at the front without reference tokens.
            foreground: token indices (L,): only these tokens attend, among themselves.
            background: attention outputs (images, h*w, C) of all other tokens.

        Returns:
            Images (images, C, h, w), and the output of the first attention (images, h*w, C).
        """
        tokens, normed = self.feature(x)
        if isinstance(identity, Tensor):
            identity = self.block.attn2.keys_values(identity)
        if foreground is None or background is None:
            attention = self.self_attend(normed, reference, unconditional)
        else:
            fresh = self.self_attend(
                normed[:, foreground], _select_reference(reference, foreground), unconditional
            )
            attention = background.index_copy(1, foreground, fresh)
        return self._project_out(x, self.block.after_self_attention(tokens + attention, identity)), attention

    def self_attend(self, normed: Tensor, reference: KeyValue | Tensor | None, unconditional: int) -> Tensor:
        """Attend to own and reference tokens: (images, N, C) -> (images, N, C)."""
        attn = self.block.attn1
        if reference is None:
            return attn(normed)  # type: ignore[no-any-return]
        if isinstance(reference, Tensor):
            return self._self_attend_unprojected(normed, reference, unconditional)
        own = attn.queries_keys_values(normed)
        query, key, value = (x[unconditional:] for x in own)
        attended = attend(
            query,
            _append_reference(key, reference.key),
            _append_reference(value, reference.value),
            attn.heads,
        )
        if unconditional:
            query, key, value = (x[:unconditional] for x in own)
            attended = torch.cat([attend(query, key, value, attn.heads), attended])
        return attn.output(attended)

    def _self_attend_unprojected(self, normed: Tensor, reference: Tensor, unconditional: int) -> Tensor:
        """Run the same at the released cost, for reference tokens (images, N, C) that are projected here.

        Every image attends to reference tokens; unconditional images attend again without them (models/README.md,
        trap 6).
        """
        attn = self.block.attn1
        attended: Tensor = attn(normed, attn.keys_values(torch.cat([normed, reference], dim=1)))
        if not unconditional:
            return attended
        return torch.cat([attn(normed[:unconditional]), attended[unconditional:]])

    def _project_out(self, x: Tensor, tokens: Tensor) -> Tensor:
        return to_images(self.proj_out(tokens), x.shape[2], x.shape[3]) + x


def _select_reference(reference: KeyValue | Tensor | None, foreground: Tensor) -> KeyValue | Tensor | None:
    """Return the reference tokens of the face; the frame's foreground indices (L,) select them too."""
    if isinstance(reference, Tensor):
        return reference[:, foreground]
    return None if reference is None else reference.map(lambda kv: kv[:, :, foreground])


def _append_reference(own: Tensor, reference: Tensor) -> Tensor:
    """Append reference tokens (rows, variants, N, C) to own tokens (images, N, C) -> (images, 2N, C).

    The variants take turns over the images of a row.
    """
    rows, variants = reference.shape[:2]
    grouped = torch.unflatten(own, 0, (rows, -1, variants))
    return torch.cat([grouped, reference[:, None].expand_as(grouped)], dim=-2).flatten(0, 2)
