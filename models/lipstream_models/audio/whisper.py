"""Whisper's audio encoder for windows of any length up to 30 s.

Kept in place of transformers' WhisperEncoder, which raises for any other length than 30 s.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import LipstreamError, WeightsError


@dataclass(frozen=True)
class WhisperConfig:
    """Sizes of the encoder; the defaults are those of tiny.en."""

    mels: int = 80
    width: int = 384
    heads: int = 6
    layers: int = 4
    positions: int = 1500


class SelfAttention(nn.Module):
    """Multi-head self-attention; keys have no bias, as in Whisper."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over T: (B, T, C) -> (B, T, C)."""
        b, t, c = x.shape
        q, k, v = (
            part(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)  # (B, heads, T, C/heads)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).reshape(b, t, c))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn = SelfAttention(width, heads)
        self.final_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply attention and MLP: (B, T, C) -> (B, T, C)."""
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))  # type: ignore[no-any-return]


class WhisperEncoder(nn.Module):
    """Convolution stem, sinusoidal positions and pre-norm transformer, with transformers' state-dict names.

    A window shorter than 30 s uses the first positions only and is not padded.
    """

    def __init__(self, config: WhisperConfig = WhisperConfig()) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.positions, config.width)
        self.layers = nn.ModuleList(EncoderLayer(config.width, config.heads) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.width)

    def forward(self, mel: Tensor) -> list[Tensor]:
        """Encode a log-mel spectrogram (B, 80, 2 T).

        Returns:
            Stem, layer 1, ..., the last layer after the final norm; each (B, T, C). Step s is centred on mel
            frame 2 s, which is 20 ms x s of the window.
        """
        frames, limit = mel.shape[-1], 2 * self.config.positions
        steps = frames // 2
        if frames % 2 or not 2 <= frames <= limit:
            raise LipstreamError(f"expected an even number of mel frames, 2 to {limit}, got {frames}")
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[:steps]
        states = [x]
        for layer in self.layers:
            x = layer(x)
            states.append(x)
        states[-1] = self.layer_norm(x)
        return states


def bundled_weights() -> Path:
    """Return the path of tiny.en's encoder in the package."""
    return Path(__file__).parent.parent / "bundled" / "whisper-tiny-encoder.safetensors"


def load_whisper(path: Path | None = None, dtype: torch.dtype = torch.float32) -> WhisperEncoder:
    """Load the encoder in evaluation mode on the CPU.

    Args:
        path: A safetensors file; None for the packaged one.
        dtype: Number format of the weights.

    Raises:
        WeightsError: The file is missing, damaged, or of another network.
    """
    path = path or bundled_weights()
    encoder = WhisperEncoder()
    if not path.is_file():
        raise WeightsError(f"no Whisper encoder weights at {path}; expected whisper-tiny-encoder.safetensors")
    try:
        encoder.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path} is not a Whisper tiny encoder: {error}") from error
    return encoder.to(dtype).eval().requires_grad_(False)
