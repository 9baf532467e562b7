"""One recording through a server at the pace of a microphone, and what came of it."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from lipstream_server.protocol import AudioFormat, SessionStart, UtteranceEnded, UtteranceStarted

from .errors import StreamError
from .stream_client import Backoff, StreamClient

RATE = 16_000
_PIECE_SECONDS = 0.04
_AFTERWARDS_SECONDS = 0.3
_WAIT_SECONDS = 60.0


@dataclass
class Outcome:
    """first_frame: seconds from the first audio byte sent to the first media that shows it. media: the binary messages,
    and when each came, in seconds since then.
    """

    first_frame: float | None = None
    media: list[bytes] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(self.media)


@dataclass(frozen=True)
class Tracks:
    """frames, and seconds of picture and of sound."""

    frames: int
    pictures: float
    sound: float

    @property
    def skew(self) -> float:
        """Seconds by which the sound is longer than the pictures."""
        return self.sound - self.pictures


def read_audio(path: Path) -> bytes:
    """s16le, 16 kHz mono, of any file with a sound track. Raises StreamError."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    try:
        with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
            if not container.streams.audio:
                raise StreamError(f"{path}: expected a recording, but there is no sound in this file")
            frames = [made for decoded in container.decode(audio=0) for made in resampler.resample(decoded)]
    except av.FFmpegError as error:
        raise StreamError(f"{path}: expected a recording, but {str(error.strerror).lower()}") from error
    frames += resampler.resample(None)
    return b"".join(np.ascontiguousarray(frame.to_ndarray()).tobytes() for frame in frames)


async def stream_audio(
    url: str,
    audio: bytes,
    avatar: str | None = None,
    pace: float = 1.0,
    backoff: Backoff | None = None,
    progress: Callable[[float], None] = lambda seconds: None,
) -> Outcome:
    """One utterance, s16le 16 kHz mono, to fragmented MP4. pace: 1 as a microphone gives it, 0 all at once.

    progress: called with the seconds of audio sent.
    """
    start = SessionStart(avatar=avatar, audio=AudioFormat(rate=RATE))
    outcome = Outcome()
    async with StreamClient(url, start, backoff or Backoff()) as client:
        began = time.monotonic()
        speaking = asyncio.create_task(_speak(client, audio, pace, progress))
        try:
            async with asyncio.timeout(len(audio) / 2 / RATE * max(1.0, pace) + _WAIT_SECONDS):
                await _watch(client, outcome, began)
            await speaking
        except TimeoutError:
            raise StreamError("the server did not finish the utterance in time") from None
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
    return outcome


def tracks(media: bytes) -> Tracks:
    """What an MP4 holds, by its time stamps."""
    with av.open(io.BytesIO(media), "r") as file:
        ends = {"video": 0.0, "audio": 0.0}
        frames = 0
        for packet in file.demux():
            if packet.pts is not None and packet.time_base is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                ends[packet.stream.type] = max(ends[packet.stream.type], end)
                frames += packet.stream.type == "video"
    return Tracks(frames, ends["video"], ends["audio"])


async def _speak(client: StreamClient, audio: bytes, pace: float, progress: Callable[[float], None]) -> None:
    piece = round(_PIECE_SECONDS * RATE) * 2
    began = time.monotonic()
    for at in range(0, len(audio), piece):
        sent = (at + piece) / 2 / RATE
        await asyncio.sleep(max(0.0, began + sent * pace - time.monotonic()))
        await client.send_audio(audio[at : at + piece])
        progress(sent)
    await client.end_utterance()


async def _watch(client: StreamClient, outcome: Outcome, began: float) -> None:
    """Until the utterance has ended and a little idle has followed."""
    shows = False
    ended: float | None = None
    async for message in client:
        now = time.monotonic() - began
        if isinstance(message, UtteranceStarted):
            shows = True
        elif isinstance(message, UtteranceEnded):
            ended = now
        elif isinstance(message, bytes):
            if shows and outcome.first_frame is None:
                outcome.first_frame = now
            outcome.media.append(message)
            outcome.times.append(now)
            if ended is not None and now - ended > _AFTERWARDS_SECONDS:
                ended = None
                await client.end()
