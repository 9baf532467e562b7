"""A recording that a client posted: checked by decoding it once, then heard piece by piece as engines hear it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np

from ...errors import MediaError
from ..arrays import (
    ENGINE_SAMPLE_RATE,
    Samples,
)
from ..live.audio_input import Resampler
from ..sample_queue import SampleQueue
from .audio_track import AudioTrackError, AudioTrackReader
from .riff import declared_seconds

RecordingCode = Literal[
    "recording_empty", "not_a_recording", "recording_too_long", "recording_damaged", "recording_unusable"
]
# By what the bytes are, in FFmpeg's names; playlists, pictures and the like are none of these.
_FORMATS = frozenset(
    {"aac", "ac3", "aiff", "amr", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska", "mov"}
    | {"mp3", "mpegts", "ogg", "w64", "wav", "webm"}
)
_EXACT = frozenset({"mov", "wav", "w64", "aiff"})  # whose headers tell the length, not an estimate of it
_RATES = range(4_000, 384_001)
_WHOLE = 0.9  # of the length that a header tells: encoders round it, a file cut short lacks more


class RecordingError(MediaError):
    """code: the rule that it breaks, for programs; the message is for people."""

    def __init__(self, code: RecordingCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class ProbedHeader:
    """What a file's header says. seconds: 0 where it says nothing."""

    formats: frozenset[str]
    rate: int
    seconds: float


def count_engine_samples(path: Path, max_seconds: float) -> int:
    """Samples at 16 kHz, found by decoding all of it, a second at a time: what a header says of the length is checked, not
    believed. Raises RecordingError.
    """
    told = _look(path)
    too_long = RecordingError(
        "recording_too_long", f"expected a recording of at most {max_seconds:g} s; this one is longer"
    )
    if told.seconds > max_seconds:
        raise too_long
    count = 0
    try:
        with AudioTrackReader(path) as sound:
            while len(piece := sound.read(told.rate)):
                count += len(piece)
                if count > max_seconds * told.rate:
                    raise too_long
    except AudioTrackError:
        raise RecordingError("recording_damaged", "the recording is damaged; export it again") from None
    if not count:
        raise RecordingError("recording_damaged", "no sound of the recording can be decoded; export it again")
    if told.formats & _EXACT and count < _WHOLE * told.seconds * told.rate:
        said = f"expected {told.seconds:.1f} s of sound, as its header says; only {count / told.rate:.1f} s are there"
        raise RecordingError("recording_damaged", f"{said}. Was it cut off? Send it again")
    return -(-count * ENGINE_SAMPLE_RATE // told.rate)


def _look(path: Path) -> ProbedHeader:
    if not path.stat().st_size:
        raise RecordingError("recording_empty", "expected a recording; got 0 bytes")
    expected = "expected a recording (WAV, FLAC, MP3, Ogg, M4A, MP4, WebM ...)"
    try:
        # Through a file object and with no protocol allowed: a playlist must not open other files or hosts.
        with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
            formats = frozenset(container.format.name.split(","))
            if not formats & _FORMATS or not container.streams.audio:
                raise RecordingError("not_a_recording", f"{expected}; there is no sound in this file")
            track = container.streams.audio[0]
            if track.rate not in _RATES or not track.channels:
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
    """A context manager: mono at 16 kHz, the next samples whenever they are asked for."""

    def __init__(self, path: Path) -> None:
        self._sound = AudioTrackReader(path)
        self._resampler = Resampler(self._sound.sample_rate, ENGINE_SAMPLE_RATE)
        self._queue = SampleQueue()
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sound.close()

    def read(self, count: int) -> tuple[Samples, bool]:
        """The next `count` samples, fewer at the end; and whether they are the last."""
        while len(self._queue) < count and not self._ended:
            piece = self._sound.read(self._sound.sample_rate)
            self._ended = not len(piece)
            mono = piece.mean(1, dtype=np.float32)
            self._queue.put(self._resampler.flush() if self._ended else self._resampler.push(mono))
        samples = self._queue.take(count)
        return samples, self._ended and not len(self._queue)
