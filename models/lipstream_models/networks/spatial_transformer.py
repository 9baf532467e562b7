"""Spatial attention of one layer: itself and the reference tokens, then the identity tokens, then a feed-
forward.
"""

import torch
from torch import Tensor, nn

from .attention import Attention, FeedForward, attend
from .conditions import KeyValue
from .layers import GroupNorm, PointwiseConv
from .layouts import to_images, to_tokens


class SpatialBlock(nn.Module):
    def __init__(self, channels: int, heads: int, cross_channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, heads, cross_channels)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def rest(self, tokens: Tensor, identity: KeyValue) -> Tensor:
        """Everything after the first attention. All tokens of an identity row are queries of one attention,
        so nothing repeats.
        """
        grouped = self.norm2(tokens).reshape(identity.key.shape[0], -1, tokens.shape[-1])
        tokens = tokens + self.attn2(grouped, identity).view_as(tokens)
        result: Tensor = tokens + self.ff(self.norm3(tokens))
        return result


class SpatialTransformer(nn.Module):
    """Used by both UNets: `write` in the reference net, `forward` in the denoiser."""

    def __init__(self, channels: int, heads: int, cross_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = PointwiseConv(channels, channels)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, heads, cross_channels)])
        self.proj_out = PointwiseConv(channels, channels)

    @property
    def block(self) -> SpatialBlock:
        block = self.transformer_blocks[0]
        assert isinstance(block, SpatialBlock)
        return block

    def feature(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(images, C, h, w) -> tokens and the normed input of the first attention, which is the reference
        feature.
        """
        tokens: Tensor = self.proj_in(to_tokens(self.norm(x)))
        return tokens, self.block.norm1(tokens)

    def write(self, x: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Reference net: plain self-attention. identity: (images, T, cross). Returns images and the
        reference feature (images, h*w, C).
        """
        block = self.block
        tokens, feature = self.feature(x)
        tokens = tokens + block.attn1(feature)
        return self._leave(x, block.rest(tokens, block.attn2.keys_values(identity))), feature

    def forward(
        self,
        x: Tensor,
        identity: KeyValue | Tensor,
        reference: KeyValue | Tensor | None,
        unconditional: int,
        foreground: Tensor | None = None,
        background: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Denoiser. identity: (rows, T, C) projected; reference: (conditional rows, variants, h*w, C)
        projected. Or both raw, one for each image: (images, T, cross) and (images, h*w, C).

        The first `unconditional` images see no reference tokens. With `foreground` (token indices) only
        those tokens attend, among themselves, and the others take their attention output from `background`
        (images, h*w, C). Returns images and the attention output.
        """
        tokens, normed = self.feature(x)
        if isinstance(identity, Tensor):
            identity = self.block.attn2.keys_values(identity)
        if foreground is None or background is None:
            attention = self.read(normed, reference, unconditional)
        else:
            fresh = self.read(normed[:, foreground], _inside(reference, foreground), unconditional)
            attention = background.index_copy(1, foreground, fresh)
        return self._leave(x, self.block.rest(tokens + attention, identity)), attention

    def read(self, normed: Tensor, reference: KeyValue | Tensor | None, unconditional: int) -> Tensor:
        """First attention over own and reference tokens; (images, N, C) -> (images, N, C)."""
        attn = self.block.attn1
        if reference is None:
            return attn(normed)  # type: ignore[no-any-return]
        if isinstance(reference, Tensor):
            return self._read_raw(normed, reference, unconditional)
        own = attn.queries_keys_values(normed)
        query, key, value = (x[unconditional:] for x in own)
        seen = attend(query, _beside(key, reference.key), _beside(value, reference.value), attn.heads)
        if unconditional:
            query, key, value = (x[:unconditional] for x in own)
            seen = torch.cat([attend(query, key, value, attn.heads), seen])
        return attn.output(seen)

    def _read_raw(self, normed: Tensor, reference: Tensor, unconditional: int) -> Tensor:
        """The same at the released cost: every image attends to reference tokens that are projected here, and the
        unconditional ones do it again without them (facts 0, trap 6).
        """
        attn = self.block.attn1
        seen: Tensor = attn(normed, attn.keys_values(torch.cat([normed, reference], dim=1)))
        if not unconditional:
            return seen
        return torch.cat([attn(normed[:unconditional]), seen[unconditional:]])

    def _leave(self, x: Tensor, tokens: Tensor) -> Tensor:
        return to_images(self.proj_out(tokens), x.shape[2], x.shape[3]) + x


def _inside(reference: KeyValue | Tensor | None, foreground: Tensor) -> KeyValue | Tensor | None:
    """The reference tokens of the face, which the same mask selects as the picture's own."""
    if isinstance(reference, Tensor):
        return reference[:, foreground]
    return None if reference is None else reference.map(lambda kv: kv[:, :, foreground])


def _beside(own: Tensor, reference: Tensor) -> Tensor:
    """Put reference tokens (rows, variants, N, C) behind own tokens (images, N, C), the variants in turn:
    (images, 2N, C).
    """
    rows, variants = reference.shape[:2]
    grouped = torch.unflatten(own, 0, (rows, -1, variants))
    return torch.cat([grouped, reference[:, None].expand_as(grouped)], dim=-2).flatten(0, 2)
