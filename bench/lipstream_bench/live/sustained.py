"""One session of some minutes: frames per second, latency and its parts, skew, and memory."""

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
class SessionMeasurements:
    """Measurements of a session.

    Attributes:
        media: Reads the media.
        latencies: Milliseconds from sending the first byte of an utterance to receiving its first media.
        parts: The server's parts of these.
        lateness: Lateness of fragments in milliseconds.
        memory: Memory of the server in MB.
        last: The last statistics.
        seconds: Time from the first media to the last.
    """

    media: FragmentReader = field(default_factory=FragmentReader)
    latencies: list[float] = field(default_factory=list)
    parts: list[LatencyParts] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    last: Stats | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Sustained:
    """Figures of a session.

    Attributes:
        minutes: Its length.
        utterances: Number of utterances.
        frames: Number of frames.
        frames_a_second: Frames per second.
        repeated_frames: Repeated frames.
        skipped_ms: Time by which its clock was set back.
        skew_ms: Difference of the lengths of video and audio.
        latency_ms: Latency.
        delay_parts_ms: Parts of the latency.
        growth_ms: Median latency of the last third of utterances minus that of the first.
        lateness_ms: Lateness of fragments.
        memory_mb_first: Memory of the server at the start.
        memory_mb_last: Memory of the server at the end.
    """

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


async def measure_session(server: ServerProcess, speech: bytes, minutes: float) -> Sustained:
    """Measure a session that gets speech (s16le, 16 kHz mono) again and again with pauses between."""
    record = SessionMeasurements()
    async with StreamClient(server.url, SessionStart(audio=AudioFormat(rate=RATE))) as client:
        start_times: asyncio.Queue[float] = asyncio.Queue()
        receiving = asyncio.create_task(_receive(client, record, start_times))
        sampling = asyncio.create_task(_sample(client, server, record))
        end = time.monotonic() + minutes * 60
        try:
            while time.monotonic() < end:
                start_times.put_nowait(time.monotonic())
                await stream_utterance(client, speech)
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(_PAUSE_SECONDS)
            await client.ask_stats()
            await client.end()
            await receiving
        finally:
            for task in (receiving, sampling):
                task.cancel()
            await asyncio.gather(receiving, sampling, return_exceptions=True)
    return _summary(record, minutes)


async def stream_utterance(client: StreamClient, speech: bytes) -> None:
    """Send one utterance (s16le, 16 kHz mono) at the pace of a microphone."""
    piece = round(_PIECE_SECONDS * RATE) * 2
    start_time = time.monotonic()
    for number, at in enumerate(range(0, len(speech), piece)):
        await asyncio.sleep(max(0.0, start_time + number * _PIECE_SECONDS - time.monotonic()))
        await client.send_audio(speech[at : at + piece])
    await client.end_utterance()


async def _receive(
    client: StreamClient, record: SessionMeasurements, start_times: asyncio.Queue[float]
) -> None:
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
                record.latencies.append(1000 * (now - start_times.get_nowait()))
                await client.ask_stats()
        elif isinstance(message, UtteranceStarted):
            shows = True
        elif isinstance(message, Stats):
            record.last = message
            record.lateness.append(message.lateness_ms)
            if message.latency is not None and len(record.parts) < len(record.latencies):
                record.parts.append(message.latency)
        elif isinstance(message, UtteranceEnded):
            if shows:  # it never became visible, so its start is dropped
                start_times.get_nowait()
            shows = False


async def _sample(client: StreamClient, server: ServerProcess, record: SessionMeasurements) -> None:
    while True:
        await asyncio.sleep(_SAMPLE_SECONDS)
        record.memory.append(server.memory_mb)
        await client.ask_stats()


def _summary(record: SessionMeasurements, minutes: float) -> Sustained:
    lengths = record.media.lengths
    third = max(1, len(record.latencies) // 3)
    middle = [
        quantiles(part, (0.5,)).get("p50", float("nan"))
        for part in (record.latencies[:third], record.latencies[-third:])
    ]
    names = list(LatencyParts.model_fields)
    parts = {name: quantiles([getattr(part, name) for part in record.parts], (0.5, 0.95)) for name in names}
    memory = record.memory or [float("nan")]
    return Sustained(
        minutes=minutes,
        utterances=len(record.latencies),
        frames=lengths.frames,
        frames_a_second=round(lengths.frames / record.seconds, 3) if record.seconds else 0.0,
        repeated_frames=record.last.repeated_frames if record.last else -1,
        skipped_ms=record.last.skipped_ms if record.last else -1,
        skew_ms=round(1000 * lengths.skew, 1),
        latency_ms=quantiles(record.latencies),
        delay_parts_ms=parts,
        growth_ms=round(middle[1] - middle[0], 1),
        lateness_ms=quantiles(record.lateness),
        memory_mb_first=round(memory[min(2, len(memory) - 1)], 1),
        memory_mb_last=round(memory[-1], 1),
    )
