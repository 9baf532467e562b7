"""The audio of a recording at its own sample rate, for the audio track of the video that is made from it.

The networks get 16 kHz mono (`recording.RecordingReader`); the video keeps the quality of the recording.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from lipstream_models.audio.decode import AudioError, AudioFile

from ...errors import MediaError


class AudioTrackError(MediaError):
    """A file has no audio that can be decoded."""


class AudioTrackReader:
    """A context manager that reads the first audio track of a recording piece by piece.

    Attributes:
        sample_rate: The file's own, in Hz.
        channels: 1, or 2 for any more, which are mixed down.
    """

    def __init__(self, path: Path) -> None:
        """Open a recording.

        Raises:
            AudioTrackError: The file is missing, is no recording, or has no audio.
        """
        try:
            self._file = AudioFile(path)
        except AudioError as error:
            raise AudioTrackError(str(error)) from error
        self.sample_rate = self._file.sample_rate
        self.channels = min(2, self._file.channels)
        self._blocks = self._decode()
        self._left = np.zeros((0, self.channels), np.float32)

    def read(self, count: int) -> NDArray[np.float32]:
        """Return the next samples (n, channels), float32 in [-1, 1], n = `count`; fewer, then none, at the end.

        Raises:
            AudioTrackError: Nothing can be decoded.
        """
        pieces, available = [self._left], len(self._left)
        while available < count and (block := next(self._blocks, None)) is not None:
            pieces.append(block)
            available += len(block)
        joined = np.concatenate(pieces)
        self._left = joined[count:]
        return joined[:count]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self) -> Iterator[NDArray[np.float32]]:
        layout = "mono" if self.channels == 1 else "stereo"
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=self.sample_rate)
        try:
            for decoded in self._file.frames():
                for frame in resampler.resample(decoded):
                    yield _samples(frame)
        except (AudioError, av.FFmpegError) as error:
            raise AudioTrackError(f"{self._file.name}: the audio cannot be decoded ({error})") from error
        for frame in resampler.resample(None):
            yield _samples(frame)


def _samples(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return a planar float frame as (n, channels)."""
    return np.asarray(frame.to_ndarray(), np.float32).T
