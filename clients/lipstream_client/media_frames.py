"""Media of the containers `rgb` and `jpeg` as arrays with time stamps.

async with StreamClient(url, SessionStart(container="rgb")) as client:
    async for message in media_frames(client):
        if isinstance(message, VideoFrame):
            show(message.pixels)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from lipstream_server.protocol import (
    MediaTag,
    ServerMessage,
    SessionReady,
    TaggedMedia,
)

from .errors import StreamError
from .stream_client import StreamClient


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame of the video.

    Attributes:
        number: from 0 without a gap.
        time: seconds of media at which it is shown.
        utterance: number of the utterance that it shows, 0 for none.
        pixels: (H, W, 3) uint8, RGB.
    """

    number: int
    time: float
    utterance: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """Consecutive audio samples.

    Attributes:
        first: number of the first sample, from 0 without a gap.
        time: time of the first sample in seconds of media, the clock of the frames.
        utterance: number of the utterance that it belongs to, 0 for none.
        rate: sample rate in Hz.
        samples: (n,) int16, mono.
    """

    first: int
    time: float
    utterance: int
    rate: int
    samples: NDArray[np.int16]


async def media_frames(client: StreamClient) -> AsyncIterator[VideoFrame | AudioChunk | ServerMessage]:
    """Yield all that a connected client receives, in order: media decoded, other messages as they are.

    Raises StreamError.
    """
    ready = client.ready
    async for message in client:
        if isinstance(message, SessionReady):
            ready = message  # a new session after a lost connection counts from 0 again
        if not isinstance(message, bytes):
            yield message
        elif ready is not None:
            yield decode_media(message, ready)


def decode_media(message: bytes, ready: SessionReady) -> VideoFrame | AudioChunk:
    """Decode one binary message of a session.

    Raises:
        StreamError: the session has another container, or the message does not fit the session.
    """
    if ready.container not in ("rgb", "jpeg"):
        raise StreamError(
            f"expected a session with the container 'rgb' or 'jpeg', got {ready.container!r}; "
            f"ask for one: SessionStart(container='rgb')"
        )
    try:
        unit = TaggedMedia.unpack(message)
        if unit.tag is MediaTag.PCM:
            samples = np.frombuffer(unit.payload, "<i2").astype(np.int16, copy=False)
            time = unit.position / ready.audio_rate
            return AudioChunk(unit.position, time, unit.utterance, ready.audio_rate, samples)
        is_jpeg = unit.tag is MediaTag.JPEG
        pixels = _decode_jpeg(unit.payload) if is_jpeg else np.frombuffer(unit.payload, np.uint8)
        pixels = pixels.reshape(ready.height, ready.width, 3)
    except (ValueError, av.FFmpegError) as error:
        raise StreamError(f"the server sent media that does not fit its session: {error}") from error
    return VideoFrame(unit.position, unit.position / ready.fps, unit.utterance, pixels)


def _decode_jpeg(payload: bytes) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) of a JPEG image. Raises ValueError, av.FFmpegError."""
    codec = av.CodecContext.create("mjpeg", "r")
    frames = codec.decode(av.Packet(payload))
    if not frames:
        raise ValueError(f"expected a JPEG image, got {len(payload)} bytes that are none")
    return frames[0].to_ndarray(format="rgb24").astype(np.uint8, copy=False)
