"""Hallo's audio features: every layer of wav2vec2-base-960h at 25 frames a second.

Whole recordings are done exactly as Hallo does them (hallo/datasets/audio_processor.py and
hallo/models/wav2vec.py), but for the separation of vocals, which is left to the caller. Live audio is heard
through sliding windows; see `LiveWav2VecFeatures`.
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
from .sliding import (
    FPS,
    FRAME,
    Rows,
    Samples,
    Slider,
    SlidingStream,
    WindowGrid,
)

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

CLIP = 16
"""Hallo pads the recording with silence to a multiple of this many frames."""


class Wav2VecError(LipstreamError):
    """The folder does not hold a wav2vec2 model that can be used."""


@dataclass(frozen=True)
class LiveConfig:
    """Windows for live audio, in frames (see `WindowGrid`): 3 s of past, 0.24 s ahead."""

    hop: int = 4
    offset: int = 2
    left: int = 75
    right: int = 6
    batch: int = 8

    def grid(self) -> WindowGrid:
        return WindowGrid(self.hop, self.offset, self.left, self.right, batch=self.batch)


class Wav2VecFeatures(nn.Module):
    """Hallo's audio encoder: 16 kHz mono to (frames, 12 layers, 768) at 25 fps.

    Normalisation, group norm and attention span the whole recording, so a stream gives its rows at the end;
    `live()` does not wait.
    """

    fps = FPS
    look_ahead_frames = None

    def __init__(self, model: Wav2Vec2Model) -> None:
        """model: one without stable layer norm, as wav2vec2-base-960h is."""
        super().__init__()
        self.model: Any = model  # its submodules are untyped
        if self.model.config.do_stable_layer_norm or self.model.config.add_adapter:
            raise Wav2VecError(
                "expected wav2vec2 as in wav2vec2-base-960h, without stable layer norm and adapter"
            )
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> Self:
        """From a folder with config.json and model.safetensors, in fp32 as in Hallo. Raises Wav2VecError."""
        from transformers import Wav2Vec2Model  # half a second: only for those who load one

        try:
            loaded: Any = Wav2Vec2Model.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise Wav2VecError(f"{folder}: expected a wav2vec2 model for transformers: {error}") from error
        model, report = loaded
        # Not used here: the embedding of masked steps, which some published files lack.
        missing = sorted(set(report["missing_keys"]) - {"masked_spec_embed"})
        if missing:
            raise Wav2VecError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}")
        return cls(model.float()).to(device)

    @property
    def blocks(self) -> int:
        return len(self.model.encoder.layers)

    @property
    def channels(self) -> int:
        return int(self.model.config.hidden_size)

    def offline(self, audio: Samples) -> Rows:
        """(N,) samples -> (ceil(N / 640), layers, channels) float32."""
        frames = -(-len(audio) // FRAME)
        return self.padded(audio)[:frames]

    @torch.no_grad()
    def padded(self, audio: Samples) -> Rows:
        """The same up to the next multiple of 16 frames: what Hallo's last clip hears after the end."""
        frames = -(-len(audio) // FRAME)
        if not frames:
            return np.zeros((0, self.blocks, self.channels), np.float32)
        silent = -frames % CLIP
        wave = F.pad(normalised(self._tensor(audio)), (0, silent * FRAME))
        return self._layers(wave[None], frames + silent)[0].cpu().numpy()

    def stream(self) -> WholeRecording:
        return WholeRecording(self)

    def live(self, config: LiveConfig = LiveConfig()) -> LiveWav2VecFeatures:
        return LiveWav2VecFeatures(self, config)

    def _tensor(self, samples: Samples) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(samples, np.float32)).to(next(self.parameters()).device)

    def _layers(self, wave: Tensor, frames: int) -> Tensor:
        """(B, N) normalised samples -> (B, frames, layers, channels).

        The 50 Hz output of the convolutions is brought to 25 Hz before the transformer, which therefore runs
        at the video's rate.
        """
        model = self.model
        heard = model.feature_extractor(wave)  # (B, 512, steps)
        heard = F.interpolate(heard, size=frames, mode="linear", align_corners=True).transpose(1, 2)
        x = model.feature_projection(heard)[0]  # (B, frames, channels)
        x = model.encoder.layer_norm(x + model.encoder.pos_conv_embed(x))
        states = []
        for layer in model.encoder.layers:
            out = layer(x)
            x = out[0] if isinstance(out, tuple) else out  # a tuple before transformers 5
            states.append(x)
        return torch.stack(states, dim=2)


class WholeRecording:
    """Keeps the audio and gives all rows at the end."""

    def __init__(self, features: Wav2VecFeatures) -> None:
        self._features = features
        self._held: list[Samples] = []

    def push(self, samples: Samples) -> Rows:
        self._held.append(np.array(samples, np.float32))
        return self._features.offline(np.zeros(0, np.float32))

    def flush(self) -> Rows:
        held, self._held = self._held, []
        return self._features.offline(np.concatenate([np.zeros(0, np.float32), *held]))


class LiveWav2VecFeatures:
    """wav2vec2 over windows of some seconds, each normalised by itself: the same rows whatever the chunks.

    They differ from the whole recording's: normalisation, group norm and attention see the window alone.
    """

    fps = FPS

    def __init__(self, whole: Wav2VecFeatures, config: LiveConfig) -> None:
        self._whole = whole
        self._config = config
        self._slider = Slider(config.grid(), self._encode, (whole.blocks, whole.channels))

    @property
    def blocks(self) -> int:
        return self._whole.blocks

    @property
    def channels(self) -> int:
        return self._whole.channels

    @property
    def grid(self) -> WindowGrid:
        return self._slider.grid

    @property
    def look_ahead_frames(self) -> float:
        return self._config.hop - 1 + self._config.right

    def offline(self, audio: Samples) -> Rows:
        """(N,) samples -> (ceil(N / 640), layers, channels) float32."""
        return self._slider.offline(audio)

    def stream(self) -> SlidingStream:
        return self._slider.stream()

    def live(self) -> Self:
        return self

    def to(self, device: torch.device | str) -> Self:
        self._whole.to(device)
        return self

    @torch.no_grad()
    def _encode(self, windows: Samples) -> Rows:
        """(B, window samples) -> (B, hop, layers, channels).

        A window of F frames gives 2 F - 1 steps, so frame i is step 2 i here as in a whole recording.
        """
        config = self._config
        wave = normalised(self._whole._tensor(windows))
        rows = self._whole._layers(wave, self._slider.grid.window)
        return rows[:, config.left : config.left + config.hop].cpu().numpy()


def normalised(wave: Tensor) -> Tensor:
    """(..., N) to zero mean and unit variance over N, as wav2vec2's feature extractor does."""
    variance, mean = torch.var_mean(wave, dim=-1, correction=0, keepdim=True)
    return (wave - mean) / torch.sqrt(variance + 1e-7)
