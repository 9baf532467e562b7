"""Recordings that clients upload: checked by decoding them once, then read piece by piece for the engine."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av

from lipstream_models.audio.decode import (
    AudioError,
    AudioFile,
    AudioLimits,
    AudioTooLongError,
)

from ...errors import MediaError, StatusError
from ..arrays import ENGINE_SAMPLE_RATE, Samples
from ..sample_queue import SampleQueue
from .riff import declared_seconds

RecordingCode = Literal[
    "recording_empty", "not_a_recording", "recording_too_long", "recording_damaged", "recording_unusable"
]
# Containers by their content, in FFmpeg's names; playlists, images and the like are none of these.
_FORMATS = frozenset(
    {"aac", "ac3", "aiff", "amr", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska", "mov"}
    | {"mp3", "mpegts", "ogg", "w64", "wav", "webm"}
)
_EXACT_FORMATS = frozenset({"mov", "wav", "w64", "aiff"})
"""Formats whose headers declare the exact length, not an estimate."""
_SAMPLE_RATES = range(4_000, 384_001)
_MIN_SHARE = 0.9
"""Of the declared length: encoders round it, a file that is cut off lacks more."""


_STATUS = {
    "not_a_recording": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "recording_too_long": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class RecordingError(MediaError, StatusError):
    """A recording is refused; `code` names the rule for programs, the message is for people."""

    def __init__(self, code: RecordingCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.status = _STATUS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)


@dataclass(frozen=True)
class ProbedHeader:
    """The header of a recording.

    Attributes:
        formats: FFmpeg's names of the container.
        sample_rate: Hz.
        seconds: Declared length; 0 where the header does not say.
    """

    formats: frozenset[str]
    sample_rate: int
    seconds: float


def count_engine_samples(path: Path, max_seconds: float) -> int:
    """Return the number of 16 kHz samples of a recording, by decoding all of it, a second at a time.

    The length that the header declares is checked, not believed.

    Args:
        path: The recording.
        max_seconds: Longest recording.

    Raises:
        RecordingError: The recording is refused.
    """
    header = _probe(path)
    too_long = RecordingError(
        "recording_too_long", f"expected a recording of at most {max_seconds:g} s; this one is longer"
    )
    if header.seconds > max_seconds:
        raise too_long
    try:
        with AudioFile(path) as file:
            samples = sum(len(block) for block in file.blocks(AudioLimits(max_seconds)))
    except AudioTooLongError:
        raise too_long from None
    except AudioError:
        raise RecordingError(
            "recording_damaged", "the audio of the recording cannot be decoded; export it again"
        ) from None
    if file.truncated:
        raise RecordingError("recording_damaged", "the recording is damaged; export it again")
    seconds = samples / ENGINE_SAMPLE_RATE
    if header.formats & _EXACT_FORMATS and seconds < _MIN_SHARE * header.seconds:
        raise RecordingError(
            "recording_damaged",
            f"expected {header.seconds:.1f} s of audio, as the header declares, got {seconds:.1f} s."
            " Was it cut off? Send it again",
        )
    return samples


def _probe(path: Path) -> ProbedHeader:
    if not path.stat().st_size:
        raise RecordingError("recording_empty", "expected a recording; got 0 bytes")
    expected = "expected a recording (WAV, FLAC, MP3, Ogg, M4A, MP4, WebM ...)"
    try:
        # Through a file object and with no protocol allowed: a playlist must not open other files or hosts.
        with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
            formats = frozenset(container.format.name.split(","))
            if not formats & _FORMATS or not container.streams.audio:
                raise RecordingError("not_a_recording", f"{expected}; there is no audio in this file")
            track = container.streams.audio[0]
            if track.rate not in _SAMPLE_RATES or not track.channels:
                raise RecordingError(
                    "recording_unusable", f"expected 4 to 384 kHz, got {track.rate} Hz; convert it to 48 kHz"
                )
            base = track.time_base
            seconds = float(track.duration * base) if track.duration and base else 0.0
            file.seek(0)
            return ProbedHeader(formats, track.rate, max(seconds, declared_seconds(file)))
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError("not_a_recording", f"{expected}; this is none, or only a part of one") from error


class RecordingReader:
    """A context manager that reads a recording as 16 kHz mono, on demand."""

    def __init__(self, path: Path) -> None:
        """Open a recording that `count_engine_samples` has accepted.

        Raises:
            MediaError: The file is missing or no recording.
        """
        try:
            self._file = AudioFile(path)
        except AudioError as error:
            raise MediaError(str(error)) from error
        self._blocks = self._file.blocks()
        self._queue = SampleQueue()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, count: int) -> tuple[Samples, bool]:
        """Return the next `count` samples, fewer at the end, and whether they are the last.

        Raises:
            MediaError: The audio cannot be decoded.
        """
        while len(self._queue) < count and not self._ended:
            try:
                block = next(self._blocks, None)
            except AudioError as error:
                raise MediaError(str(error)) from error
            self._ended = block is None
            if block is not None:
                self._queue.put(block)
        samples = self._queue.take(count)
        return samples, self._ended and not len(self._queue)
