"""Playout of a session: the frame that is shown next, with its audio, and soft transitions between idle and speech."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..media.arrays import (
    OUTPUT_SAMPLE_RATE,
    Frame,
    Frames,
    Samples,
)
from ..protocol import UtteranceEnded, UtteranceStarted
from .crossfade import Crossfade
from .idle_loop import IdleLoop


@dataclass(eq=False)
class MediaChunk:
    """Frames that are sent together, and their audio.

    Attributes:
        frames: F frames (H, W, 3).
        audio: Audio of each frame, F arrays (S,) at the output rate.
        events: Messages to send before the media.
        utterance: Number of the utterance that is shown at its end, 0 for none.
        utterance_frames: Frames of that utterance that have been sent with it.
    """

    frames: list[Frame] = field(default_factory=list)
    audio: list[Samples] = field(default_factory=list)
    events: list[UtteranceStarted | UtteranceEnded] = field(default_factory=list)
    utterance: int = 0
    utterance_frames: int = 0

    @property
    def samples(self) -> Samples:
        """Audio of all frames (F * S,)."""
        return np.concatenate(self.audio) if self.audio else np.zeros(0, np.float32)


class Playout:
    """Appends frames to chunks: idle frames, frames of speech, or the last frame of speech again.

    Args:
        idle: Idle frames (N, H, W, 3), N >= 1.
        fps: Frames per second of the video.
        crossfade_frames: Frames over which idle and speech fade into each other.
    """

    def __init__(self, idle: Frames, fps: int, crossfade_frames: int) -> None:
        self._idle = IdleLoop(idle)
        self._crossfade = Crossfade(crossfade_frames)
        self._samples_per_frame = OUTPUT_SAMPLE_RATE // fps
        self._last_speech: Frame | None = None
        self._last_shown: Frame | None = None

    def start_speech(self) -> None:
        """Fade from idle into speech."""
        self._crossfade.start(self._last_shown)

    def end_speech(self) -> None:
        """Fade from speech into idle."""
        self._idle.restart()
        self._crossfade.start(self._last_shown)

    def interrupt(self) -> None:
        """Cut to idle."""
        self._idle.restart()
        self._crossfade.cut()

    def append_idle(self, chunk: MediaChunk) -> None:
        """Append an idle frame with silence."""
        self._last_speech = None
        self._append(chunk, self._idle.next_frame(), None)

    def append_speech(
        self, chunk: MediaChunk, frame: Frame | None = None, audio: Samples | None = None
    ) -> None:
        """Append a frame (H, W, 3) with its audio (S,); None repeats the last frame of speech, or gives silence."""
        if frame is not None:
            self._last_speech = frame
        self._append(
            chunk, self._idle.next_frame() if self._last_speech is None else self._last_speech, audio
        )

    def _append(self, chunk: MediaChunk, frame: Frame, audio: Samples | None) -> None:
        self._last_shown = self._crossfade.apply(frame)
        chunk.frames.append(self._last_shown)
        chunk.audio.append(np.zeros(self._samples_per_frame, np.float32) if audio is None else audio)
