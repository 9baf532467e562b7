"""The media of the containers `rgb` and `jpeg` as arrays with time stamps.

async with StreamClient(url, SessionStart(container="rgb")) as client:
    async for message in media_frames(client):
        if isinstance(message, Picture):
            show(message.pixels)
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lipstream_server.protocol import (
    MediaTag,
    ServerMessage,
    SessionReady,
    TaggedMedia,
)

from .errors import StreamError
from .stream_client import StreamClient


@dataclass(frozen=True, eq=False)
class Picture:
    """number: from 0 without a gap. time: seconds of media at which it is shown. utterance: whom it shows, 0 for nobody.

    pixels: (H, W, 3) uint8, red first.
    """

    number: int
    time: float
    utterance: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Sound:
    """first: number of the first sample, from 0 without a gap. time: of that sample, in seconds of media, which pictures share.

    rate: samples a second. samples: (n,) int16, mono.
    """

    first: int
    time: float
    utterance: int
    rate: int
    samples: NDArray[np.int16]


async def media_frames(client: StreamClient) -> AsyncIterator[Picture | Sound | ServerMessage]:
    """All that a connected client receives, in order: media decoded, everything else as it is. Raises StreamError."""
    ready = client.ready
    async for message in client:
        if isinstance(message, SessionReady):
            ready = message  # a new session after a lost connection counts from 0 again
        if not isinstance(message, bytes):
            yield message
        elif ready is not None:
            yield decode_media(message, ready)


def decode_media(message: bytes, ready: SessionReady) -> Picture | Sound:
    """One binary message of a session. Raises StreamError for another container, or for what does not fit the session."""
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
            return Sound(unit.position, time, unit.utterance, ready.audio_rate, samples)
        pixels = _jpeg(unit.payload) if unit.tag is MediaTag.JPEG else np.frombuffer(unit.payload, np.uint8)
        pixels = pixels.reshape(ready.height, ready.width, 3)
    except (ValueError, UnidentifiedImageError) as error:
        raise StreamError(f"the server sent media that does not fit its session: {error}") from error
    return Picture(unit.position, unit.position / ready.fps, unit.utterance, pixels)


def _jpeg(payload: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(payload), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"))
