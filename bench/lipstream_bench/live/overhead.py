"""Cost of the server without a model: many sessions with the stub engine that speak without a pause."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from lipstream_client.recording import RATE
from lipstream_client.stream_client import StreamClient
from lipstream_server.protocol import (
    AudioFormat,
    Container,
    SessionStart,
    Stats,
)

from ..machine.quantiles import quantiles
from .server_process import ServerProcess
from .sustained import stream_utterance

_STATS_SECONDS = 1.0
_WARM_SECONDS = 3.0


@dataclass(frozen=True)
class Overhead:
    """Figures of many sessions.

    Attributes:
        sessions: Number of sessions.
        container: Their container.
        seconds: Length of the speech of each.
        lateness_ms: Lateness of the latest fragment of each session and second.
        repeated_frames: Speaking frames for which the previous frame was repeated.
        spoken_frames: Speaking frames.
        latency_ms: From the first byte of each session's audio to the media that shows it.
        skipped_ms: Time by which the clocks of sessions were set back.
        cores: CPU cores that the server used.
        memory_mb: Memory of the server.
    """

    sessions: int
    container: Container
    seconds: float
    lateness_ms: dict[str, float]
    repeated_frames: int
    spoken_frames: int
    latency_ms: dict[str, float]
    skipped_ms: float
    cores: float
    memory_mb: float

    @property
    def late_share(self) -> float:
        """Share of speaking frames that were repeated."""
        return self.repeated_frames / max(1, self.spoken_frames)


async def measure_overhead(
    server: ServerProcess, sessions: int, seconds: float, container: Container, speech: bytes
) -> Overhead:
    """Stream speech to many sessions at once at the pace of a microphone.

    Args:
        server: The server.
        sessions: Number of sessions.
        seconds: Length of the audio of each session; the speech is repeated.
        container: Container of the sessions.
        speech: s16le, 16 kHz mono.
    """
    audio = repeat_audio(speech, round(seconds * RATE) * 2)
    lateness: list[float] = []
    last: dict[int, Stats] = {}
    cpu, start_time = server.cpu_seconds, time.monotonic()

    async def run_session(number: int) -> None:
        await asyncio.sleep(_WARM_SECONDS * number / sessions)  # out of step
        start = SessionStart(audio=AudioFormat(rate=RATE), container=container)
        async with StreamClient(server.url, start) as client:
            speaking = asyncio.create_task(stream_utterance(client, audio))
            requesting = asyncio.create_task(_request_stats(client))
            try:
                async for message in client:
                    if isinstance(message, Stats):
                        last[number] = message
                        if time.monotonic() - start_time > 2 * _WARM_SECONDS:
                            lateness.append(message.lateness_ms)
                    if speaking.done():
                        break
            finally:
                for task in (speaking, requesting):
                    task.cancel()
                await asyncio.gather(speaking, requesting, return_exceptions=True)

    await asyncio.gather(*(run_session(number) for number in range(sessions)))
    elapsed = time.monotonic() - start_time
    return Overhead(
        sessions=sessions,
        container=container,
        seconds=round(seconds, 1),
        lateness_ms=quantiles(lateness),
        repeated_frames=sum(each.repeated_frames for each in last.values()),
        spoken_frames=sum(each.frames - each.idle_frames for each in last.values()),
        latency_ms=quantiles([each.latency_ms for each in last.values() if each.latency_ms is not None]),
        skipped_ms=round(sum(each.skipped_ms for each in last.values()), 1),
        cores=round((server.cpu_seconds - cpu) / elapsed, 2),
        memory_mb=round(server.memory_mb, 1),
    )


def repeat_audio(audio: bytes, size: int) -> bytes:
    """Return `size` bytes of audio, repeated from the start where it ends."""
    return (audio * -(-size // len(audio)))[:size]


async def _request_stats(client: StreamClient) -> None:
    while True:
        await asyncio.sleep(_STATS_SECONDS)
        await client.ask_stats()
