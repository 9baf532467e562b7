"""Interfaces of audio encoders, as the rest of the program uses them."""

from __future__ import annotations

from typing import Protocol, Self

from .samples import FeatureRows, Samples
from .sliding import SlidingStream, WindowGrid


class AudioStream(Protocol):
    """Features of one recording, computed as its audio arrives: (m, blocks, channels), a row a video frame."""

    def push(self, samples: Samples) -> FeatureRows:
        """Add (n,) samples and return the rows (m, blocks, channels) that they complete."""

    def flush(self) -> FeatureRows:
        """End the recording and return its last rows (m, blocks, channels)."""


class AudioEncoder(Protocol):
    """Encoder of 16 kHz mono audio to features at 25 frames a second."""

    @property
    def fps(self) -> int:
        """Rows of features per second."""

    @property
    def blocks(self) -> int:
        """Blocks (layers) of a row."""

    @property
    def channels(self) -> int:
        """Channels of a block."""

    @property
    def lookahead_frames(self) -> float | None:
        """Most frames of audio after a frame that its row may need; None: the whole recording."""

    def offline(self, audio: Samples) -> FeatureRows:
        """Encode a whole recording: (N,) samples -> (ceil(N / 640), blocks, channels) float32."""

    def stream(self) -> AudioStream:
        """Return a stream that gives in all what `offline` gives, whatever the chunks."""

    def live(self) -> LiveEncoder:
        """Return this encoder, or its variant with a short lookahead, for audio that is still arriving."""

    def to(self, device: str) -> Self:
        """Move the encoder to a device."""


class LiveEncoder(Protocol):
    """An encoder whose rows follow the audio with a short lookahead, on a grid of windows."""

    @property
    def grid(self) -> WindowGrid:
        """The grid of windows that defines the rows."""

    def stream(self) -> SlidingStream:
        """Return a stream for one recording."""
