"""Whisper features per video frame, defined on short windows so that live audio gives exactly what a whole file gives."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import LipstreamError
from .mel import HOP, PAST, SAMPLE_RATE, LogMel
from .whisper import WhisperEncoder, load_whisper

FPS = 25
FRAME = SAMPLE_RATE // FPS  # samples per video frame
STEP = 2 * HOP  # samples per encoder step
STEPS = FRAME // STEP  # encoder steps per video frame

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class FeatureConfig:
    """Which encoder states become features, and the grid of windows that defines them.

    Hop k covers frames hop*k - offset ... + hop. Its features come from one run of the encoder over `left` frames before it,
    the hop, and `right` frames after it. With offset = 2 the hops end where a clip of a multiple of `hop` frames plus its two
    frames of context ends, so nothing is waited for in vain.
    """

    layers: tuple[int, ...] = (2, 4)
    hop: int = 4
    offset: int = 2
    left: int = 8
    right: int = 2
    concatenate: bool = False
    floor: float = -7.0
    batch: int = 32

    @property
    def window(self) -> int:
        """Frames that one run of the encoder sees."""
        return self.left + self.hop + self.right


@dataclass(frozen=True)
class FeatureState:
    """What a stream remembers: the audio that later windows still need, and where it stands."""

    tail: Samples  # the samples from `start` on
    start: int  # absolute index of tail[0]; negative while the silence before the recording is in it
    hops: int = 0  # hops done
    rows: int = 0  # frames given out
    ended: bool = False


class WhisperFeatures(nn.Module):
    """The bundled model's audio encoder: 16 kHz mono to (frames, blocks, channels) at 25 fps.

    Frame i is made of the encoder steps centred on 40 i and 40 i + 20 ms. Silence surrounds the recording.
    """

    fps = FPS

    def __init__(self, encoder: WhisperEncoder, config: FeatureConfig = FeatureConfig()) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.mel = LogMel(config.floor)

    @classmethod
    def bundled(cls, config: FeatureConfig = FeatureConfig()) -> Self:
        return cls(load_whisper(), config)

    @property
    def blocks(self) -> int:
        return len(self.config.layers)

    @property
    def channels(self) -> int:
        return self.encoder.config.width * (STEPS if self.config.concatenate else 1)

    @property
    def look_ahead_samples(self) -> int:
        """Samples past the end of a hop that its features need."""
        return self.config.right * FRAME + PAST - HOP

    def begin(self) -> FeatureState:
        """The state of a stream that has heard nothing."""
        past = (self.config.left + self.config.offset) * FRAME + PAST
        return FeatureState(np.zeros(past, np.float32), -past)

    def advance(self, state: FeatureState, samples: Samples) -> tuple[FeatureState, Samples]:
        """Takes (n,) more samples; returns the new state and the rows (m, blocks, channels) that they complete, m >= 0."""
        if state.ended:
            raise LipstreamError("the stream has been flushed; expected a new one for more audio")
        tail = np.concatenate([state.tail, np.asarray(samples, np.float32)])
        return self._consume(replace(state, tail=tail), None)

    def finish(self, state: FeatureState) -> tuple[FeatureState, Samples]:
        """Ends the stream: silence follows, and the rows up to ceil(samples / 640) come out."""
        if state.ended:
            raise LipstreamError("the stream has been flushed already")
        frames = -(-(state.start + len(state.tail)) // FRAME)
        silence = np.zeros((self.config.hop + self.config.right + 1) * FRAME + PAST, np.float32)
        state, rows = self._consume(replace(state, tail=np.concatenate([state.tail, silence])), frames)
        return replace(state, tail=state.tail[:0], ended=True), rows

    def offline(self, audio: Samples) -> Samples:
        """(N,) samples -> (ceil(N / 640), blocks, channels) float32."""
        state, rows = self.advance(self.begin(), audio)
        _, rest = self.finish(state)
        return np.concatenate([rows, rest])

    def stream(self) -> "FeatureStream":
        return FeatureStream(self)

    def _consume(self, state: FeatureState, frames: int | None) -> tuple[FeatureState, Samples]:
        """Runs every hop whose audio is there; `frames` cuts the rows at the end of a recording."""
        hop, offset = self.config.hop, self.config.offset
        heard = state.start + len(state.tail) - self.look_ahead_samples
        hops = max((heard // FRAME + offset) // hop, state.hops)
        if frames is not None:
            hops = min(hops, -(-(frames + offset) // hop))
        rows = [
            self._encode(state, first, min(first + self.config.batch, hops))
            for first in range(state.hops, hops, self.config.batch)
        ]
        start = self._first_sample(hops)
        done = np.concatenate([self._nothing(), *rows])
        done = done[max(offset - state.hops * hop, 0) if rows else 0 :]  # no frames before the first
        if frames is not None:
            done = done[: frames - state.rows]
        kept = state.tail[start - state.start :].copy()
        return FeatureState(kept, start, hops, state.rows + len(done)), done

    def _first_sample(self, hop: int) -> int:
        """Absolute index of the first sample that a hop's window needs."""
        return (self.config.hop * hop - self.config.offset - self.config.left) * FRAME - PAST

    def _nothing(self) -> Samples:
        return np.zeros((0, self.blocks, self.channels), np.float32)

    @torch.no_grad()
    def _encode(self, state: FeatureState, first: int, last: int) -> Samples:
        """Hops first ... last - 1 in one batch: (hops * hop frames, blocks, channels)."""
        config = self.config
        begin = self._first_sample(first) - state.start
        end = begin + ((last - 1 - first) * config.hop + config.window) * FRAME + 2 * PAST - HOP
        audio = torch.from_numpy(state.tail[begin:end]).to(self.mel.window.device)
        mel = self.mel(audio)  # (80, M), 4 columns a frame
        per_frame = FRAME // HOP
        windows = mel.unfold(-1, config.window * per_frame, config.hop * per_frame).transpose(
            0, 1
        )  # (B, 80, W)
        states = self.encoder(windows.to(self.encoder.conv1.weight.dtype))
        chosen = torch.stack([states[layer] for layer in config.layers], dim=2)  # (B, steps, blocks, C)
        kept = chosen[:, config.left * STEPS : (config.left + config.hop) * STEPS].float()
        return self._pair(kept).cpu().numpy()

    def _pair(self, steps: Tensor) -> Tensor:
        """(B, hop * 2, blocks, C) steps -> (B * hop, blocks, channels) frames."""
        b, t, blocks, c = steps.shape
        pairs = steps.reshape(b * t // STEPS, STEPS, blocks, c)
        if self.config.concatenate:
            return pairs.transpose(1, 2).reshape(-1, blocks, STEPS * c)
        return pairs.mean(1)


class FeatureStream:
    """A stream of one recording: `push` audio as it comes, `flush` at its end. The state can be read and put back."""

    def __init__(self, features: WhisperFeatures) -> None:
        self.features = features
        self.state = features.begin()

    def push(self, samples: Samples) -> Samples:
        """(n,) samples -> the new rows (m, blocks, channels)."""
        self.state, rows = self.features.advance(self.state, samples)
        return rows

    def flush(self) -> Samples:
        """The last rows; afterwards the stream has given ceil(samples / 640)."""
        self.state, rows = self.features.finish(self.state)
        return rows


def context_windows(features: Samples, radius: int = 2) -> Samples:
    """(T, ...) -> (T, 2 radius + 1, ...): each frame with its neighbours, the edges repeated."""
    index = np.arange(len(features))[:, None] + np.arange(-radius, radius + 1)[None]
    return features[index.clip(0, len(features) - 1)]
