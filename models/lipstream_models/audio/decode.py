"""Any recording that PyAV can decode, as 16 kHz mono."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError
from .sliding import SAMPLE_RATE, Samples

AudioSource = Path | str | bytes | BinaryIO
LOWEST_RATE = 2000
"""Below this a file is a joke or an attack: one frame of it could become gigabytes at 16 kHz."""

_log = logging.getLogger(__name__)


class AudioError(LipstreamError):
    """A recording cannot be used."""


@dataclass(frozen=True)
class AudioLimits:
    """max_seconds: counted while decoding, whatever the header claims.

    block: samples per piece of `iter_audio`.
    """

    max_seconds: float = 4 * 3600
    block: int = SAMPLE_RATE


def read_audio(source: AudioSource, limits: AudioLimits | None = None) -> Samples:
    """The whole recording, (N,) float32 in [-1, 1] at 16 kHz.

    Channels are averaged, louder floats are clipped.

    Raises AudioError for what is not there, holds no sound, is too long or holds values that are not numbers.
    """
    blocks = list(iter_audio(source, limits))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def iter_audio(source: AudioSource, limits: AudioLimits | None = None) -> Iterator[Samples]:
    """The same in pieces, in memory that does not grow with the recording.

    A recording that breaks off gives what it has, and a warning in the log.
    """
    limits = limits or AudioLimits()
    held: list[Samples] = []
    count = total = 0
    with ExitStack() as stack:
        name, container = _opened(source, stack)
        for piece in _resampled(container, name):
            if not np.isfinite(piece).all():
                raise AudioError(f"{name}: expected samples between -1 and 1, but some are not numbers")
            held.append(piece.clip(-1.0, 1.0))
            count += len(piece)
            total += len(piece)
            if total > limits.max_seconds * SAMPLE_RATE:
                raise AudioError(f"{name}: longer than the {limits.max_seconds:g} seconds that are allowed")
            if count >= limits.block:
                yield np.concatenate(held)
                held, count = [], 0
        claimed = (container.duration or 0) / av.time_base
    if not total:
        raise AudioError(f"{name}: expected a recording, but it holds no sound that can be decoded")
    if total / SAMPLE_RATE < claimed - 1.0:
        _log.warning("%s: breaks off after %.1f of %.1f seconds", name, total / SAMPLE_RATE, claimed)
    if held:
        yield np.concatenate(held)


def _opened(source: AudioSource, stack: ExitStack) -> tuple[str, av.container.InputContainer]:
    """The container, read through a file object and with every protocol forbidden.

    So a playlist that calls itself a recording cannot fetch other files.
    """
    file: BinaryIO
    if isinstance(source, bytes):
        name, file = "the recording", BytesIO(source)
    elif isinstance(source, str | Path):
        name = str(source)
        if not Path(source).is_file():
            raise AudioError(f"{name}: expected a recording, but there is no such file")
        try:
            file = stack.enter_context(Path(source).open("rb"))  # noqa: SIM115 (the stack closes it)
        except OSError as error:
            raise AudioError(f"{name}: the file cannot be read: {error.strerror}") from error
    else:
        name, file = str(getattr(source, "name", "the recording")), source
    try:
        container = av.open(file, "r", metadata_errors="ignore", options={"protocol_whitelist": "none"})
    except (av.FFmpegError, OSError) as error:
        raise AudioError(
            f"{name}: expected a recording (WAV, MP3, FLAC, M4A, Ogg, a video ...), but it is none"
        ) from error
    stack.enter_context(container)
    if not container.streams.audio:
        raise AudioError(f"{name}: expected a recording, but there is no sound in this file")
    return name, container


def _resampled(container: av.container.InputContainer, name: str) -> Iterator[Samples]:
    """Mono pieces at 16 kHz; averaged before resampling, so that no mixing matrix turns a channel down."""
    resampler: av.AudioResampler | None = None
    rate = 0
    for mono in _decoded(container, name):
        if mono.sample_rate < LOWEST_RATE:
            raise AudioError(f"{name}: expected a rate of at least {LOWEST_RATE} Hz, got {mono.sample_rate}")
        if resampler is None or mono.sample_rate != rate:  # chained files may change it on the way
            yield from _drained(resampler)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            rate = mono.sample_rate
        for out in resampler.resample(mono):
            yield _values(out)
    yield from _drained(resampler)


def _drained(resampler: av.AudioResampler | None) -> Iterator[Samples]:
    for out in resampler.resample(None) if resampler else ():
        yield _values(out)


def _values(frame: av.AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1)


def _decoded(container: av.container.InputContainer, name: str) -> Iterator[av.AudioFrame]:
    """Mono frames. The last is cut where its packet says that the sound ends: AAC fills up its 1024."""
    stream = container.streams.audio[0]
    last: av.AudioFrame | None = None
    length = 0.0  # of the last frame, by its packet
    damaged = 0
    for packet in _packets(container, stream):
        try:
            frames = stream.decode(packet)
        except (av.FFmpegError, ValueError):
            damaged += 1
            continue
        for frame in frames:
            if last is not None:
                yield _averaged(last)
            seconds = float(packet.duration * packet.time_base) if packet.duration else 0.0
            last, length = frame, seconds * frame.sample_rate
    if last is None:
        raise AudioError(f"{name}: the sound cannot be decoded, {damaged} packets of it are damaged")
    if damaged:
        _log.warning("%s: left out %d damaged packets of sound", name, damaged)
    coarse = 1.0 + float(stream.time_base or 0) * last.sample_rate  # what the clock cannot resolve
    yield _averaged(last, round(length) if 0 < length < last.samples - coarse else None)


def _packets(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.Packet[av.AudioStream]]:
    """Packets up to where the file ends or breaks off."""
    with suppress(av.FFmpegError):
        yield from container.demux(stream)


def _averaged(frame: av.AudioFrame, samples: int | None = None) -> av.AudioFrame:
    """One channel, float32, with no time stamp: pauses in the stamps are not filled."""
    planes: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        planes = planes.reshape(-1, frame.layout.nb_channels).T
    planes = planes[:, :samples]
    values = planes.astype(np.float32)
    if planes.dtype.kind in "iu":
        full = float(np.iinfo(planes.dtype).max) + 1.0
        values = (values - full / 2) / (full / 2) if planes.dtype.kind == "u" else values / full
    mono = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.mean(axis=0, keepdims=True)), "flt", "mono")
    mono.sample_rate = frame.sample_rate
    return mono
