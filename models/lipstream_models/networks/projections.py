"""Face embedding and audio features become tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import AudioProjectionConfig, IdentityProjectionConfig


class IdentityProjection(nn.Module):
    """(rows, 512) face embedding -> (rows, 4, cross channels). The unconditional branch projects the zero
    vector.
    """

    def __init__(self, config: IdentityProjectionConfig, cross_channels: int) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Linear(config.embedding_dim, config.tokens * cross_channels)
        self.norm = nn.LayerNorm(cross_channels)

    def forward(self, embedding: Tensor) -> Tensor:
        result: Tensor = self.norm(torch.unflatten(self.proj(embedding), -1, (self.tokens, -1)))
        return result


class AudioProjection(nn.Module):
    """(..., window, blocks, channels) audio features of each frame -> (..., 32, 768) tokens.

    The unconditional branch uses zeros in place of the result, not the projection of zeros (facts 0, trap 6).
    """

    def __init__(self, config: AudioProjectionConfig) -> None:
        super().__init__()
        self.tokens = config.context_tokens
        self.proj1 = nn.Linear(config.seq_len * config.blocks * config.channels, config.intermediate_dim)
        self.proj2 = nn.Linear(config.intermediate_dim, config.intermediate_dim)
        self.proj3 = nn.Linear(config.intermediate_dim, config.context_tokens * config.output_dim)
        self.norm = nn.LayerNorm(config.output_dim)

    def forward(self, audio: Tensor) -> Tensor:
        h = F.relu(self.proj1(audio.flatten(-3)))
        h = F.relu(self.proj2(h))
        result: Tensor = self.norm(torch.unflatten(self.proj3(h), -1, (self.tokens, -1)))
        return result
