"""What the rest of the program knows of an audio encoder."""

from __future__ import annotations

from typing import Protocol, Self

from .sliding import (
    Rows,
    Samples,
    SlidingStream,
    WindowGrid,
)


class AudioStream(Protocol):
    """One recording as it comes. Rows are (m, blocks, channels) float32, one a video frame."""

    def push(self, samples: Samples) -> Rows: ...

    def flush(self) -> Rows: ...


class AudioEncoder(Protocol):
    """16 kHz mono in [-1, 1] to features at 25 frames a second: (ceil(N / 640), blocks, channels) float32."""

    @property
    def fps(self) -> int: ...

    @property
    def blocks(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def look_ahead_frames(self) -> float | None:
        """Most frames of audio past a frame that its row may wait for; None: all of the recording."""

    def offline(self, audio: Samples) -> Rows: ...

    def stream(self) -> AudioStream:
        """Gives in all exactly what `offline` gives, whatever the chunks."""

    def live(self) -> LiveEncoder:
        """This encoder, or its variant with a short look-ahead, for audio that is still being spoken."""

    def to(self, device: str) -> Self: ...


class LiveEncoder(Protocol):
    """An encoder whose rows follow the audio at a short distance, by a grid of windows."""

    @property
    def grid(self) -> WindowGrid: ...

    def stream(self) -> SlidingStream: ...
