"""Decoding of recordings with PyAV: the one audio decoder of the repository, free of torch.

`iter_audio` gives what the networks hear (16 kHz mono); `AudioFile` gives the frames at the file's own rate, for
the audio track of a video.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError
from .samples import SAMPLE_RATE, Samples

AudioSource = Path | str | bytes | BinaryIO
MIN_SAMPLE_RATE = 2000
"""Hz. One frame of a file with a lower rate could become gigabytes at 16 kHz."""

_log = logging.getLogger(__name__)


class AudioError(LipstreamError):
    """A recording cannot be used."""


class AudioTooLongError(AudioError):
    """A recording is longer than the limit."""


@dataclass(frozen=True)
class AudioLimits:
    """Limits of `iter_audio`.

    Attributes:
        max_seconds: Counted while decoding, whatever the header declares.
        block_samples: Samples of a block.
    """

    max_seconds: float = 4 * 3600
    block_samples: int = SAMPLE_RATE


class AudioFile:
    """The first audio track of a recording; a context manager.

    Attributes:
        name: Path or description of the source, for messages.
        sample_rate: Hz, as the header declares it.
        channels: Number of channels.
        declared_seconds: Length by the header; 0 where it does not say.
        damaged_packets: Packets that could not be decoded and were left out.
        truncated: Whether reading ended with an error before the end of the file.
    """

    def __init__(self, source: AudioSource) -> None:
        """Open a recording.

        The container is read through a file object with every protocol forbidden, so that a playlist which
        calls itself a recording cannot fetch other files.

        Raises:
            AudioError: The file is missing, is no recording, or has no audio track.
        """
        self.damaged_packets = 0
        self.truncated = False
        with ExitStack() as opening:
            self.name, file = _open_source(source, opening)
            try:
                self._container = av.open(
                    file, "r", metadata_errors="ignore", options={"protocol_whitelist": "none"}
                )
            except (av.FFmpegError, OSError) as error:
                raise AudioError(
                    f"{self.name}: expected a recording (WAV, MP3, FLAC, M4A, Ogg, a video ...), got another"
                    " kind of file"
                ) from error
            opening.enter_context(self._container)
            if not self._container.streams.audio:
                raise AudioError(f"{self.name}: expected a recording, but there is no audio in this file")
            self._resources = opening.pop_all()
        self._stream = self._container.streams.audio[0]
        self.sample_rate = self._stream.rate
        self.channels = self._stream.channels
        self.declared_seconds = (self._container.duration or 0) / av.time_base

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    def frames(self) -> Iterator[av.AudioFrame]:
        """Yield the decoded frames; damaged packets are left out.

        The last frame is cut where its packet declares that the audio ends: AAC fills up its 1024 samples.

        Raises:
            AudioError: Nothing can be decoded.
        """
        last: av.AudioFrame | None = None
        length = 0.0  # samples of the last frame, by its packet
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except (av.FFmpegError, ValueError):
                self.damaged_packets += 1
                continue
            for frame in frames:
                if last is not None:
                    yield last
                seconds = float(packet.duration * packet.time_base) if packet.duration else 0.0
                last, length = frame, seconds * frame.sample_rate
        if last is None:
            raise AudioError(
                f"{self.name}: the audio cannot be decoded, {self.damaged_packets} packets are damaged"
            )
        resolution = 1.0 + float(self._stream.time_base or 0) * last.sample_rate  # of the packet's clock
        yield _trim(last, round(length)) if 0 < length < last.samples - resolution else last

    def blocks(self, limits: AudioLimits | None = None) -> Iterator[Samples]:
        """Yield (n,) float32 blocks at 16 kHz mono in [-1, 1]; see `iter_audio`."""
        limits = limits or AudioLimits()
        pending: list[Samples] = []
        pending_samples = total = 0
        for piece in self._resampled():
            if not np.isfinite(piece).all():
                raise AudioError(f"{self.name}: expected samples between -1 and 1, but some are not numbers")
            pending.append(piece.clip(-1.0, 1.0))
            pending_samples += len(piece)
            total += len(piece)
            if total > limits.max_seconds * SAMPLE_RATE:
                raise AudioTooLongError(
                    f"{self.name}: longer than the {limits.max_seconds:g} seconds that are allowed"
                )
            if pending_samples >= limits.block_samples:
                yield np.concatenate(pending)
                pending, pending_samples = [], 0
        if not total:
            raise AudioError(f"{self.name}: expected a recording, but it has no audio that can be decoded")
        if self.damaged_packets:
            _log.warning("%s: left out %d damaged packets of audio", self.name, self.damaged_packets)
        if total / SAMPLE_RATE < self.declared_seconds - 1.0:
            _log.warning(
                "%s: ends after %.1f of %.1f seconds", self.name, total / SAMPLE_RATE, self.declared_seconds
            )
        if pending:
            yield np.concatenate(pending)

    def _packets(self) -> Iterator[av.Packet[av.AudioStream]]:
        """Yield the packets up to the end of the file, or up to an error."""
        with suppress(av.FFmpegError):
            self.truncated = True
            yield from self._container.demux(self._stream)
            self.truncated = False

    def _resampled(self) -> Iterator[Samples]:
        """Yield mono pieces at 16 kHz; mixed before resampling, so that no mixing matrix lowers a channel."""
        resampler: av.AudioResampler | None = None
        rate = 0
        for frame in self.frames():
            if frame.sample_rate < MIN_SAMPLE_RATE:
                raise AudioError(
                    f"{self.name}: expected a rate of at least {MIN_SAMPLE_RATE} Hz, got {frame.sample_rate}"
                )
            if resampler is None or frame.sample_rate != rate:  # chained files may change it on the way
                yield from _flush(resampler)
                resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
                rate = frame.sample_rate
            for out in resampler.resample(_mix_to_mono(frame)):
                yield _samples(out)
        yield from _flush(resampler)


def iter_audio(source: AudioSource, limits: AudioLimits | None = None) -> Iterator[Samples]:
    """Decode a recording to 16 kHz mono, in memory that does not grow with its length.

    Channels are averaged, values beyond full scale are clipped. A recording that breaks off gives what there
    is, and a warning in the log.

    Args:
        source: A path, bytes or a binary stream.
        limits: Longest recording, and size of the blocks.

    Yields:
        (n,) float32 blocks in [-1, 1].

    Raises:
        AudioError: The file is missing, has no audio, is too long, or has values that are not numbers.
    """
    with AudioFile(source) as file:
        yield from file.blocks(limits)


def read_audio(source: AudioSource, limits: AudioLimits | None = None) -> Samples:
    """Decode a whole recording to (N,) float32 at 16 kHz mono; see `iter_audio`."""
    return np.concatenate(list(iter_audio(source, limits)))


def _open_source(source: AudioSource, opening: ExitStack) -> tuple[str, BinaryIO]:
    """Return a name for messages, and the file; the stack closes what is opened here."""
    if isinstance(source, bytes):
        return "the recording", BytesIO(source)
    if not isinstance(source, str | Path):
        return str(getattr(source, "name", "the recording")), source
    if not Path(source).is_file():
        raise AudioError(f"{source}: expected a recording, but there is no such file")
    try:
        file = opening.enter_context(Path(source).open("rb"))  # noqa: SIM115 (the stack closes it)
    except OSError as error:
        raise AudioError(f"{source}: the file cannot be read: {error.strerror}") from error
    return str(source), file


def _trim(frame: av.AudioFrame, samples: int) -> av.AudioFrame:
    """Return the first samples of a frame."""
    values: NDArray[Any] = frame.to_ndarray()
    width = samples if frame.format.is_planar else samples * frame.layout.nb_channels
    trimmed = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(values[:, :width]), frame.format.name, frame.layout.name
    )
    trimmed.sample_rate, trimmed.pts, trimmed.time_base = frame.sample_rate, frame.pts, frame.time_base
    return trimmed


def _flush(resampler: av.AudioResampler | None) -> Iterator[Samples]:
    for out in resampler.resample(None) if resampler else ():
        yield _samples(out)


def _samples(frame: av.AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1)


def _mix_to_mono(frame: av.AudioFrame) -> av.AudioFrame:
    """Average the channels to float32, without a time stamp: gaps in the stamps are not filled."""
    planes: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        planes = planes.reshape(-1, frame.layout.nb_channels).T
    values = planes.astype(np.float32)
    if planes.dtype.kind in "iu":
        full = float(np.iinfo(planes.dtype).max) + 1.0
        values = (values - full / 2) / (full / 2) if planes.dtype.kind == "u" else values / full
    mono = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.mean(axis=0, keepdims=True)), "flt", "mono")
    mono.sample_rate = frame.sample_rate
    return mono
