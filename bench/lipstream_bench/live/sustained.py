"""One session that is spoken to for minutes: frames a second, delay and what it is made of, skew, memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from lipstream_client.fragments import FragmentReader
from lipstream_client.recording import RATE
from lipstream_client.stream_client import StreamClient
from lipstream_server.protocol import (
    AudioFormat,
    LatencyParts,
    SessionStart,
    Stats,
    UtteranceEnded,
    UtteranceStarted,
)

from ..machine.quantiles import quantiles
from .server_process import ServerProcess

_PIECE_SECONDS = 0.04
_PAUSE_SECONDS = 1.0
_SAMPLE_SECONDS = 5.0


@dataclass
class Record:
    """What happened in a session; times in seconds of the client's clock, delays in milliseconds.

    delays: from sending the first byte of an utterance to receiving the first media that shows it.
    """

    media: FragmentReader = field(default_factory=FragmentReader)
    delays: list[float] = field(default_factory=list)
    parts: list[LatencyParts] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    last: Stats | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Sustained:
    """repeated_frames: pictures that were held, of all. growth_ms: median delay of the last third over that of the first."""

    minutes: float
    utterances: int
    frames: int
    frames_a_second: float
    repeated_frames: int
    skipped_ms: float
    skew_ms: float
    latency_ms: dict[str, float]
    delay_parts_ms: dict[str, dict[str, float]]
    growth_ms: float
    lateness_ms: dict[str, float]
    memory_mb_first: float
    memory_mb_last: float


async def sustain(server: ServerProcess, speech: bytes, minutes: float) -> Sustained:
    """speech: s16le, 16 kHz mono, said again and again with pauses between."""
    record = Record()
    async with StreamClient(server.url, SessionStart(audio=AudioFormat(rate=RATE))) as client:
        began: asyncio.Queue[float] = asyncio.Queue()
        watching = asyncio.create_task(_watch(client, record, began))
        sampling = asyncio.create_task(_sample(client, server, record))
        end = time.monotonic() + minutes * 60
        try:
            while time.monotonic() < end:
                began.put_nowait(time.monotonic())
                await say(client, speech)
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(_PAUSE_SECONDS)
            await client.ask_stats()
            await client.end()
            await watching
        finally:
            for task in (watching, sampling):
                task.cancel()
            await asyncio.gather(watching, sampling, return_exceptions=True)
    return _summary(record, minutes)


async def say(client: StreamClient, speech: bytes) -> None:
    """One utterance at the pace of a microphone."""
    piece = round(_PIECE_SECONDS * RATE) * 2
    begin = time.monotonic()
    for number, at in enumerate(range(0, len(speech), piece)):
        await asyncio.sleep(max(0.0, begin + number * _PIECE_SECONDS - time.monotonic()))
        await client.send_audio(speech[at : at + piece])
    await client.end_utterance()


async def _watch(client: StreamClient, record: Record, began: asyncio.Queue[float]) -> None:
    start: float | None = None
    shows = False
    async for message in client:
        now = time.monotonic()
        if isinstance(message, bytes):
            start = now if start is None else start
            record.seconds = now - start
            record.media.feed(message)
            if shows:
                shows = False
                record.delays.append(1000 * (now - began.get_nowait()))
                await client.ask_stats()
        elif isinstance(message, UtteranceStarted):
            shows = True
        elif isinstance(message, Stats):
            record.last = message
            record.lateness.append(message.lateness_ms)
            if message.latency is not None and len(record.parts) < len(record.delays):
                record.parts.append(message.latency)
        elif isinstance(message, UtteranceEnded):
            if shows:  # it was never shown, and its beginning is not the next one's
                began.get_nowait()
            shows = False


async def _sample(client: StreamClient, server: ServerProcess, record: Record) -> None:
    while True:
        await asyncio.sleep(_SAMPLE_SECONDS)
        record.memory.append(server.memory_mb)
        await client.ask_stats()


def _summary(record: Record, minutes: float) -> Sustained:
    made = record.media.lengths
    third = max(1, len(record.delays) // 3)
    middle = [
        quantiles(part, (0.5,)).get("p50", float("nan"))
        for part in (record.delays[:third], record.delays[-third:])
    ]
    names = list(LatencyParts.model_fields)
    parts = {name: quantiles([getattr(part, name) for part in record.parts], (0.5, 0.95)) for name in names}
    memory = record.memory or [float("nan")]
    return Sustained(
        minutes=minutes,
        utterances=len(record.delays),
        frames=made.frames,
        frames_a_second=round(made.frames / record.seconds, 3) if record.seconds else 0.0,
        repeated_frames=record.last.repeated_frames if record.last else -1,
        skipped_ms=record.last.skipped_ms if record.last else -1,
        skew_ms=round(1000 * made.skew, 1),
        latency_ms=quantiles(record.delays),
        delay_parts_ms=parts,
        growth_ms=round(middle[1] - middle[0], 1),
        lateness_ms=quantiles(record.lateness),
        memory_mb_first=round(memory[min(2, len(memory) - 1)], 1),
        memory_mb_last=round(memory[-1], 1),
    )
