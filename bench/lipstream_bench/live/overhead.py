"""What the server costs without a model: many sessions with the stub engine, spoken to without a pause."""

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
from .sustained import say

_ASK_SECONDS = 1.0
_WARM_SECONDS = 3.0


@dataclass(frozen=True)
class Overhead:
    """lateness_ms: largest lateness of a fragment of each session and second. repeated_frames: of spoken_frames, those
    whose next frame was not ready. latency_ms: first-frame latency of each session. cores: CPU cores that the server used.
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
    def held(self) -> float:
        """The share of pictures in whose place the one before was shown."""
        return self.repeated_frames / max(1, self.spoken_frames)


async def load(
    server: ServerProcess, sessions: int, seconds: float, container: Container, speech: bytes
) -> Overhead:
    """speech: s16le, 16 kHz mono; every session is sent `seconds` of it, again and again, at the pace of a microphone."""
    said = repeated(speech, round(seconds * RATE) * 2)
    lateness: list[float] = []
    last: dict[int, Stats] = {}
    cpu, begin = server.cpu_seconds, time.monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(_WARM_SECONDS * number / sessions)  # not all in step
        start = SessionStart(audio=AudioFormat(rate=RATE), container=container)
        async with StreamClient(server.url, start) as client:
            speaking = asyncio.create_task(say(client, said))
            asking = asyncio.create_task(_ask(client))
            try:
                async for message in client:
                    if isinstance(message, Stats):
                        last[number] = message
                        if time.monotonic() - begin > 2 * _WARM_SECONDS:
                            lateness.append(message.lateness_ms)
                    if speaking.done():
                        break
            finally:
                for task in (speaking, asking):
                    task.cancel()
                await asyncio.gather(speaking, asking, return_exceptions=True)

    await asyncio.gather(*(one(number) for number in range(sessions)))
    took = time.monotonic() - begin
    return Overhead(
        sessions=sessions,
        container=container,
        seconds=round(seconds, 1),
        lateness_ms=quantiles(lateness),
        repeated_frames=sum(each.repeated_frames for each in last.values()),
        spoken_frames=sum(each.frames - each.idle_frames for each in last.values()),
        latency_ms=quantiles([each.latency_ms for each in last.values() if each.latency_ms is not None]),
        skipped_ms=round(sum(each.skipped_ms for each in last.values()), 1),
        cores=round((server.cpu_seconds - cpu) / took, 2),
        memory_mb=round(server.memory_mb, 1),
    )


def repeated(audio: bytes, size: int) -> bytes:
    """`size` bytes of it, from the beginning again where it ends."""
    return (audio * -(-size // len(audio)))[:size]


async def _ask(client: StreamClient) -> None:
    while True:
        await asyncio.sleep(_ASK_SECONDS)
        await client.ask_stats()
