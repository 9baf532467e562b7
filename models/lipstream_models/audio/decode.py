"""Any recording that PyAV can decode, as 16 kHz mono."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import LipstreamError

SAMPLE_RATE = 16_000
Samples = NDArray[np.float32]
AudioSource = Path | str | bytes | BinaryIO


class AudioError(LipstreamError):
    """A recording cannot be used."""


@dataclass(frozen=True)
class AudioLimits:
    """max_seconds: counted while decoding, whatever the header claims. block: samples per piece of `iter_audio`."""

    max_seconds: float = 4 * 3600
    block: int = SAMPLE_RATE


def read_audio(source: AudioSource, limits: AudioLimits | None = None) -> Samples:
    """The whole recording, (N,) float32 in about [-1, 1] at 16 kHz; channels are averaged.

    Raises AudioError for what is not there, holds no sound, is too long or holds values that are not numbers.
    """
    blocks = list(iter_audio(source, limits))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def iter_audio(source: AudioSource, limits: AudioLimits | None = None) -> Iterator[Samples]:
    """The same in pieces, in memory that does not grow with the recording. A recording that breaks off gives what it has."""
    limits = limits or AudioLimits()
    name, opened = _opened(source)
    held: list[Samples] = []
    count = total = 0
    with opened as container:
        for piece in _resampled(container, name):
            if not np.isfinite(piece).all():
                raise AudioError(f"{name}: expected samples between -1 and 1, but some are not numbers")
            held.append(piece)
            count += len(piece)
            total += len(piece)
            if total > limits.max_seconds * SAMPLE_RATE:
                raise AudioError(
                    f"{name}: longer than the {limits.max_seconds / 60:.0f} minutes that are allowed"
                )
            if count >= limits.block:
                yield np.concatenate(held)
                held, count = [], 0
    if not total:
        raise AudioError(f"{name}: expected a recording, but it holds no sound that can be decoded")
    if held:
        yield np.concatenate(held)


def _opened(source: AudioSource) -> tuple[str, av.container.InputContainer]:
    target: str | BinaryIO
    if isinstance(source, bytes):
        name, target = "the recording", BytesIO(source)
    elif isinstance(source, str | Path):
        name, target = str(source), str(source)
        if not Path(source).is_file():
            raise AudioError(f"{name}: expected a recording, but there is no such file")
    else:
        name, target = getattr(source, "name", "the recording"), source
    try:
        container = av.open(target, "r", metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise AudioError(
            f"{name}: expected a recording (WAV, MP3, FLAC, M4A, Ogg, a video ...), but it is none"
        ) from error
    if not container.streams.audio:
        container.close()
        raise AudioError(f"{name}: expected a recording, but there is no sound in this file")
    return name, container


def _resampled(container: av.container.InputContainer, name: str) -> Iterator[Samples]:
    """Mono pieces at 16 kHz. Channels are averaged before resampling, so that none is turned down by a mixing matrix."""
    stream = container.streams.audio[0]
    resampler: av.AudioResampler | None = None
    fed = False
    try:
        for frame in container.decode(stream):
            mono = _averaged(frame)
            resampler = resampler or av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            for out in resampler.resample(mono):
                fed = True
                yield _samples(out)
    except av.FFmpegError as error:
        if not fed:
            raise AudioError(f"{name}: the sound cannot be decoded ({type(error).__name__})") from error
    if resampler is not None:
        for out in resampler.resample(None):
            yield _samples(out)


def _samples(frame: av.AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray().reshape(-1), np.float32)


def _averaged(frame: av.AudioFrame) -> av.AudioFrame:
    """One channel, float32, on the frame's own clock."""
    planes = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        planes = planes.reshape(-1, channels).T
    values = planes.astype(np.float32)
    if planes.dtype.kind in "iu":
        half = float(2 ** (8 * planes.dtype.itemsize - 1))
        values = (values - half) / half if planes.dtype.kind == "u" else values / half
    mono = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.mean(axis=0, keepdims=True)), "flt", "mono")
    mono.sample_rate = frame.sample_rate
    mono.pts = None
    return mono
