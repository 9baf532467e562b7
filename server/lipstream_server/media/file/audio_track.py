"""The sound of a recording as it is, at its own rate, for the video that is made from it.

What the networks hear is another thing (16 kHz mono); the video keeps the quality of the recording.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from ...errors import MediaError


class AudioTrackError(MediaError):
    """A file has no sound that can be read."""


class AudioTrackReader:
    """A context manager that reads the first sound track of `path`, a piece at a time.

    sample_rate: the file's own. channels: 1, or 2 for anything wider, mixed down.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise AudioTrackError(
                f"{path}: expected a recording, but {str(error.strerror).lower()}"
            ) from error
        try:
            # Through a file object and with no protocol allowed: a playlist must not open other files or hosts.
            self._container = av.open(self._file, "r", options={"protocol_whitelist": "none"})
        except av.FFmpegError as error:
            self._file.close()
            raise AudioTrackError(f"{path}: expected a recording, but {_reason(error)}") from error
        if not self._container.streams.audio:
            self.close()
            raise AudioTrackError(f"{path}: expected a recording, but there is no sound in this file")
        track = self._container.streams.audio[0]
        self.sample_rate = track.rate
        self.channels = min(2, track.channels)
        self._blocks = self._decode()
        self._left = np.zeros((0, self.channels), np.float32)

    def read(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples (n, channels), float32 in [-1, 1]; fewer, then none, at the end.

        Raises AudioTrackError where the data is damaged.
        """
        pieces, have = [self._left], len(self._left)
        while have < count and (block := next(self._blocks, None)) is not None:
            pieces.append(block)
            have += len(block)
        joined = np.concatenate(pieces)
        self._left = joined[count:]
        return joined[:count]

    def close(self) -> None:
        self._container.close()
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
            for packet in self._container.demux(audio=0):
                for decoded in _decoded(packet):
                    for frame in resampler.resample(decoded):
                        yield _samples(frame)
        except av.FFmpegError as error:
            raise AudioTrackError(f"{self.path}: the sound cannot be decoded, {_reason(error)}") from error
        for frame in resampler.resample(None):
            yield _samples(frame)


def _decoded(packet: "av.Packet[av.AudioStream]") -> list[av.AudioFrame]:
    """Its frames; none where the packet is damaged, as the networks' own reading of the file skips it too."""
    try:
        return list(packet.decode())
    except av.InvalidDataError:
        return []


def _samples(frame: av.AudioFrame) -> NDArray[np.float32]:
    return np.asarray(frame.to_ndarray(), np.float32).T


def _reason(error: av.FFmpegError) -> str:
    return (error.strerror or str(error)).lower()
