"""A recording's video while it is made: frames come in windows of any length, their sound is read from the recording.

What `lipstream render` and the clips of a server share.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from ..watermark import Watermark
from .audio_track import AudioTrackReader
from .video_writer import VideoWriter


@dataclass(frozen=True)
class ClipFormat:
    """width, height: pixels, both even. frames: of the whole video. mark: pictures show that they were generated."""

    width: int
    height: int
    fps: int
    frames: int
    watermark: bool = False


class ClipWriter:
    """A context manager; what it leaves at `output`, and what after an error, is `VideoWriter`'s rule."""

    def __init__(self, audio: Path, output: Path, size: ClipFormat) -> None:
        self._audio, self._output, self._size = audio, output, size
        self._mark = Watermark(size.width, size.height) if size.watermark else None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        size = self._size
        with ExitStack() as opening:
            self._sound = opening.enter_context(AudioTrackReader(self._audio))
            rate, channels = self._sound.sample_rate, self._sound.channels
            self._writer = opening.enter_context(
                VideoWriter(self._output, size.width, size.height, rate, channels, size.fps)
            )
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def frames(self) -> int:
        """How many it has."""
        return self._writer.frames

    def add(self, frames: NDArray[np.uint8]) -> int:
        """The next frames (F, H, W, 3), brought to the film's size, and exactly their sound; what would be beyond its end is
        left out. Returns how many were taken.
        """
        size, begin = self._size, self._writer.frames
        taken = frames[: size.frames - begin]
        if not len(taken):
            return 0
        rate = self._sound.sample_rate
        due = round((begin + len(taken)) * rate / size.fps) - round(begin * rate / size.fps)
        pictures = _resized(taken, size.width, size.height)
        if self._mark is not None:
            pictures = np.stack([self._mark.on(picture) for picture in pictures])
        self._writer.write(pictures, self._sound.read(due))
        return len(taken)


def _resized(frames: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if frames.shape[1:3] == (height, width):
        return frames
    pictures = (av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24") for frame in frames)
    scaled = (picture.reformat(width, height, interpolation="BICUBIC") for picture in pictures)
    return np.stack([picture.to_ndarray(format="rgb24") for picture in scaled]).astype(np.uint8)
