"""A clip while it is written: frames come in windows of any length, their audio is read from the recording.

`lipstream render` and the clips of a server share it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np

from ..arrays import Frames
from ..watermark import Watermark
from .audio_track import AudioTrackReader
from .video_writer import VideoWriter


@dataclass(frozen=True)
class ClipFormat:
    """Size and length of a clip.

    Attributes:
        width: In pixels, even.
        height: In pixels, even.
        fps: Frames per second.
        frames: Frames of the whole clip.
        watermark: Whether frames get the visible watermark.
    """

    width: int
    height: int
    fps: int
    frames: int
    watermark: bool = False


class ClipWriter:
    """A context manager; what it leaves at `output`, also after an error, is up to `VideoWriter`."""

    def __init__(self, recording: Path, output: Path, clip_format: ClipFormat) -> None:
        self._recording, self._output, self._format = recording, output, clip_format
        self._watermark = Watermark(clip_format.width, clip_format.height) if clip_format.watermark else None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        size = self._format
        with ExitStack() as opening:
            self._audio = opening.enter_context(AudioTrackReader(self._recording))
            rate, channels = self._audio.sample_rate, self._audio.channels
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
        """Number of frames written."""
        return self._writer.frames

    def add(self, frames: Frames) -> int:
        """Write frames (F, H, W, 3), scaled to the clip's size, with exactly their audio; return how many.

        Frames beyond the length of the clip are left out.
        """
        size, begin = self._format, self._writer.frames
        frames = frames[: size.frames - begin]
        if not len(frames):
            return 0
        rate = self._audio.sample_rate
        samples = round((begin + len(frames)) * rate / size.fps) - round(begin * rate / size.fps)
        scaled = _resize(frames, size.width, size.height)
        if self._watermark is not None:
            scaled = np.stack([self._watermark.apply(frame) for frame in scaled])
        self._writer.write(scaled, self._audio.read(samples))
        return len(frames)


def _resize(frames: Frames, width: int, height: int) -> Frames:
    """Return frames (F, height, width, 3)."""
    if frames.shape[1:3] == (height, width):
        return frames
    images = (av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24") for frame in frames)
    scaled = (image.reformat(width, height, interpolation="BICUBIC") for image in images)
    return np.stack([image.to_ndarray(format="rgb24") for image in scaled]).astype(np.uint8)
