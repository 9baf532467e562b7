"""Multi-head attention whose parts can be used separately, so that constants are projected once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conditions import KeyValue

FEW_KEYS = 512
FEWER_KEYS = 128


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention on unsplit tensors: (B, N, C), (B, M, C), (B, M, C) -> (B, N, C)."""
    q, k, v = (torch.unflatten(x, -1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    if key.shape[1] > FEW_KEYS or key.device.type != "cpu":
        # Always four dimensions (B, heads, N, d): other ranks leave the fast CPU kernel.
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    # Two products are faster than the fused kernel here, forward (1.2 to 1.9 times, 4 to 512 keys) and backward (4 times).
    mixed = _mix(*(x.flatten(0, 1) for x in (q, k, v)))
    return torch.unflatten(mixed, 0, q.shape[:2]).transpose(1, 2).flatten(2)


def _mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B*heads, N, d), (B*heads, M, d), (B*heads, M, d) -> (B*heads, N, d)."""
    scale: float = q.shape[-1] ** -0.5
    if k.shape[1] > FEWER_KEYS:
        return torch.softmax((q * scale) @ k.mT, dim=-1) @ v
    # Softmax handles many short rows slowly, one by one (378 us for 24 x 256 x 8), and short columns side by side (36 us).
    return torch.softmax((k * scale) @ q.mT, dim=-2).mT @ v


def project(x: Tensor, *layers: nn.Linear) -> Tensor:
    """What linear layers without bias make of the same x (..., C), side by side, in one product: cheaper than several (132 us
    instead of 170 for three of 1024 x 64), and far cheaper for a few tokens.
    """
    return F.linear(x, torch.cat([layer.weight for layer in layers]))


class Attention(nn.Module):
    """Projections without bias, output projection with bias; names as in diffusers."""

    def __init__(self, channels: int, heads: int, context_channels: int | None = None) -> None:
        super().__init__()
        context = channels if context_channels is None else context_channels
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context, channels, bias=False)
        self.to_v = nn.Linear(context, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def keys_values(self, context: Tensor) -> KeyValue:
        """(..., tokens, context channels) -> keys and values (..., tokens, C)."""
        return KeyValue(*project(context, self.to_k, self.to_v).chunk(2, dim=-1))

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., C) -> queries, keys and values of the same shape."""
        query, key, value = project(x, self.to_q, self.to_k, self.to_v).chunk(3, dim=-1)
        return query, key, value

    def forward(self, x: Tensor, context: KeyValue | None = None) -> Tensor:
        """Attend from x (B, N, C) to the context, or to x itself."""
        if context is None:
            return self.output(attend(*self.queries_keys_values(x), self.heads))
        return self.output(attend(self.to_q(x), context.key, context.value, self.heads))

    def output(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear_out(x)
        return result

    @property
    def linear_out(self) -> nn.Linear:
        linear = self.to_out[0]
        assert isinstance(linear, nn.Linear)
        return linear


class GatedGelu(nn.Module):
    """Linear to twice the width, one half gates the other.

    As two products: the halves of one product's output are not contiguous, and on a CPU what follows took twice as long for it.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        (value_weight, gate_weight), (value_bias, gate_bias) = (
            self.proj.weight.chunk(2),
            self.proj.bias.chunk(2),
        )
        return F.linear(x, value_weight, value_bias) * F.gelu(F.linear(x, gate_weight, gate_bias))


class FeedForward(nn.Module):
    """GEGLU with four times the width inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [GatedGelu(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)]
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x
