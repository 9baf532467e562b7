"""Projections of face embeddings and audio features to tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import AudioProjectionConfig, IdentityProjectionConfig


class IdentityProjection(nn.Module):
    """Projects face embeddings to identity tokens. The unconditional branch projects the zero vector."""

    def __init__(self, config: IdentityProjectionConfig, cross_channels: int) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Linear(config.embedding_dim, config.tokens * cross_channels)
        self.norm = nn.LayerNorm(cross_channels)

    def forward(self, embedding: Tensor) -> Tensor:
        """(rows, embedding_dim) -> (rows, T, cross)."""
        result: Tensor = self.norm(torch.unflatten(self.proj(embedding), -1, (self.tokens, -1)))
        return result


class AudioProjection(nn.Module):
    """Projects the audio features around a frame to audio tokens.

    The unconditional branch uses zeros in place of the result, not the projection of zeros (models/README.md, trap 6).
    """

    def __init__(self, config: AudioProjectionConfig) -> None:
        super().__init__()
        self.tokens = config.context_tokens
        self.proj1 = nn.Linear(config.seq_len * config.blocks * config.channels, config.intermediate_dim)
        self.proj2 = nn.Linear(config.intermediate_dim, config.intermediate_dim)
        self.proj3 = nn.Linear(config.intermediate_dim, config.context_tokens * config.output_dim)
        self.norm = nn.LayerNorm(config.output_dim)

    def forward(self, audio: Tensor) -> Tensor:
        """(..., seq_len, blocks, channels) -> (..., T, output_dim)."""
        h = F.relu(self.proj1(audio.flatten(-3)))
        h = F.relu(self.proj2(h))
        result: Tensor = self.norm(torch.unflatten(self.proj3(h), -1, (self.tokens, -1)))
        return result
