"""Hallo's audio features: every layer of wav2vec2-base-960h at 25 frames a second.

Whole recordings are encoded exactly as in Hallo (hallo/datasets/audio_processor.py, hallo/models/wav2vec.py),
except for the separation of vocals, which is left to the caller. Live audio is encoded in sliding windows; see
`LiveWav2VecFeatures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import LipstreamError
from .samples import (
    FPS,
    SAMPLES_PER_FRAME,
    FeatureRows,
    Samples,
)
from .sliding import SlidingEncoder, SlidingStream, WindowGrid

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

PADDED_FRAMES = 16
"""Hallo pads the recording with silence to a multiple of this many frames."""


class Wav2VecError(LipstreamError):
    """The folder has no usable wav2vec2 model."""


@dataclass(frozen=True)
class LiveConfig:
    """Windows for live audio in frames (see `WindowGrid`): 3 s before a hop, 0.24 s of lookahead."""

    hop: int = 4
    offset: int = 2
    left: int = 75
    right: int = 6
    batch: int = 8

    def grid(self) -> WindowGrid:
        """Return the grid of these windows."""
        return WindowGrid(self.hop, self.offset, self.left, self.right, batch=self.batch)


class Wav2VecFeatures(nn.Module):
    """Hallo's audio encoder: 16 kHz mono to (frames, 12 layers, 768) at 25 fps.

    Normalisation, group norm and attention span the whole recording, so a stream returns its rows at the end;
    `live()` does not wait for it.
    """

    fps = FPS
    lookahead_frames = None

    def __init__(self, model: Wav2Vec2Model) -> None:
        """Use a model without stable layer norm, such as wav2vec2-base-960h."""
        super().__init__()
        self.model: Any = model  # its submodules are untyped
        if self.model.config.do_stable_layer_norm or self.model.config.add_adapter:
            raise Wav2VecError(
                "expected wav2vec2 as in wav2vec2-base-960h, without stable layer norm and adapter"
            )
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Self:
        """Load a folder with config.json and model.safetensors, in fp32 as in Hallo.

        Raises:
            Wav2VecError: The folder has no such model, or weights are missing.
        """
        from transformers import Wav2Vec2Model  # takes half a second, so only where one is loaded

        try:
            loaded: Any = Wav2Vec2Model.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise Wav2VecError(f"{folder}: expected a wav2vec2 model for transformers: {error}") from error
        model, report = loaded
        # The embedding of masked steps is not used, and some published files lack it.
        missing = sorted(set(report["missing_keys"]) - {"masked_spec_embed"})
        if missing:
            raise Wav2VecError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}")
        return cls(model.float()).to(device)

    @property
    def blocks(self) -> int:
        """Layers of a row."""
        return len(self.model.encoder.layers)

    @property
    def channels(self) -> int:
        """Channels of a layer."""
        return int(self.model.config.hidden_size)

    def offline(self, audio: Samples) -> FeatureRows:
        """Encode a whole recording: (N,) samples -> (ceil(N / 640), layers, channels) float32."""
        frames = -(-len(audio) // SAMPLES_PER_FRAME)
        return self.padded(audio)[:frames]

    @torch.no_grad()
    def padded(self, audio: Samples) -> FeatureRows:
        """Encode (N,) samples up to the next multiple of 16 frames, which Hallo's last clip needs.

        Returns:
            (frames, layers, channels) float32.
        """
        frames = -(-len(audio) // SAMPLES_PER_FRAME)
        if not frames:
            return np.zeros((0, self.blocks, self.channels), np.float32)
        silent = -frames % PADDED_FRAMES
        wave = F.pad(normalise(self._tensor(audio)), (0, silent * SAMPLES_PER_FRAME))
        return self._layers(wave[None], frames + silent)[0].cpu().numpy()

    def stream(self) -> WholeRecordingStream:
        """Return a stream for one recording."""
        return WholeRecordingStream(self)

    def live(self, config: LiveConfig = LiveConfig()) -> LiveWav2VecFeatures:
        """Return the variant for live audio."""
        return LiveWav2VecFeatures(self, config)

    def _tensor(self, samples: Samples) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(samples, np.float32)).to(next(self.parameters()).device)

    def _layers(self, wave: Tensor, frames: int) -> Tensor:
        """Encode normalised samples: (B, N) -> (B, frames, layers, channels).

        The 50 Hz output of the convolutions is interpolated to 25 Hz before the transformer, which therefore
        runs at the video's rate.
        """
        model = self.model
        features = model.feature_extractor(wave)  # (B, 512, steps)
        features = F.interpolate(features, size=frames, mode="linear", align_corners=True).transpose(1, 2)
        x = model.feature_projection(features)[0]  # (B, frames, channels)
        x = model.encoder.layer_norm(x + model.encoder.pos_conv_embed(x))
        states = []
        for layer in model.encoder.layers:
            out = layer(x)
            x = out[0] if isinstance(out, tuple) else out  # a tuple before transformers 5
            states.append(x)
        return torch.stack(states, dim=2)


class WholeRecordingStream:
    """Stores the audio and returns all rows at the end."""

    def __init__(self, features: Wav2VecFeatures) -> None:
        self._features = features
        self._samples: list[Samples] = []

    def push(self, samples: Samples) -> FeatureRows:
        """Store (n,) samples; return no rows (0, layers, channels)."""
        self._samples.append(np.array(samples, np.float32))
        return self._features.offline(np.zeros(0, np.float32))

    def flush(self) -> FeatureRows:
        """Return the rows (frames, layers, channels) of the whole recording."""
        stored, self._samples = self._samples, []
        return self._features.offline(np.concatenate([np.zeros(0, np.float32), *stored]))


class LiveWav2VecFeatures:
    """wav2vec2 over windows of some seconds, each normalised by itself; the rows do not depend on the chunks.

    They differ from those of the whole recording: normalisation, group norm and attention see one window.
    """

    fps = FPS

    def __init__(self, whole: Wav2VecFeatures, config: LiveConfig) -> None:
        self._whole = whole
        self._config = config
        self._sliding = SlidingEncoder(config.grid(), self._encode, (whole.blocks, whole.channels))

    @property
    def blocks(self) -> int:
        """Layers of a row."""
        return self._whole.blocks

    @property
    def channels(self) -> int:
        """Channels of a layer."""
        return self._whole.channels

    @property
    def grid(self) -> WindowGrid:
        """The grid of windows that defines the rows."""
        return self._sliding.grid

    @property
    def lookahead_frames(self) -> float:
        """Most frames of audio after a frame that its row may need."""
        return self._config.hop - 1 + self._config.right

    def offline(self, audio: Samples) -> FeatureRows:
        """Encode a whole recording: (N,) samples -> (ceil(N / 640), layers, channels) float32."""
        return self._sliding.offline(audio)

    def stream(self) -> SlidingStream:
        """Return a stream for one recording."""
        return self._sliding.stream()

    def live(self) -> Self:
        """Return this encoder."""
        return self

    def to(self, device: torch.device | str) -> Self:
        """Move the encoder to a device."""
        self._whole.to(device)
        return self

    @torch.no_grad()
    def _encode(self, windows: Samples) -> FeatureRows:
        """Encode windows: (B, window samples) -> (B, hop, layers, channels).

        A window of F frames has 2 F - 1 steps, so frame i is step 2 i, as in a whole recording.
        """
        config = self._config
        wave = normalise(self._whole._tensor(windows))
        rows = self._whole._layers(wave, self._sliding.grid.window)
        return rows[:, config.left : config.left + config.hop].cpu().numpy()


def normalise(wave: Tensor) -> Tensor:
    """Scale (..., N) to zero mean and unit variance over N, as wav2vec2's feature extractor does."""
    variance, mean = torch.var_mean(wave, dim=-1, correction=0, keepdim=True)
    return (wave - mean) / torch.sqrt(variance + 1e-7)
