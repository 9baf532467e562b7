"""Soak test: memory, threads, tasks and open files of a server must not grow over hours of sessions and clips.

    python -m lipstream_bench.reliability.soak --minutes 60

Sessions speak, interrupt and break off; clips are generated; after each round the idle server is sampled.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import json
import random
import re
import time
import wave
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from lipstream_client.backoff import Backoff
from lipstream_client.errors import RefusedError, StreamError
from lipstream_client.recording import RATE, read_audio
from lipstream_client.rest import RestClient
from lipstream_client.stream_client import StreamClient
from lipstream_models.bundled import recording_path
from lipstream_server.commands.demo import free_port
from lipstream_server.protocol import AudioFormat, SessionStart, UtteranceEnded

from ..live.server_process import ServerProcess, serving
from ..live.sustained import stream_utterance
from ..machine.machine import describe_machine
from .soak_report import Sample, SoakReport

_PORT = 8790
_ROUND_SECONDS = 10.0
_REST_SECONDS = 20.0
_CONTAINERS = ("fmp4", "webm", "jpeg")
_ENDS = ("ends", "interrupts", "vanishes", "vanishes speaking")


async def run_soak(
    server: ServerProcess,
    minutes: float,
    sessions: int,
    speech: bytes,
    seed: int = 1,
    round_seconds: float = _ROUND_SECONDS,
) -> SoakReport:
    """Run sessions and clips and sample the server.

    Args:
        server: The server.
        minutes: Length of the soak.
        sessions: Number of sessions at once.
        speech: s16le, 16 kHz mono.
        seed: Seed of the random choices.
        round_seconds: Length of a round.
    """
    random_source, report, start_time = random.Random(seed), SoakReport(), time.monotonic()  # noqa: S311
    rest = RestClient(server.url.replace("ws://", "http://"))
    with TemporaryDirectory() as folder:
        (audio := Path(folder, "speech.wav")).write_bytes(_wav(speech[: 2 * RATE]))
        while time.monotonic() - start_time < 60 * minutes:
            end = time.monotonic() + round_seconds
            clients = [_run_sessions(server, end, speech, random_source, report) for _ in range(sessions)]
            await asyncio.gather(*clients, _render_clip(rest, audio, report))
            await _wait_until_idle(server)
            sample = _take_sample(server, time.monotonic() - start_time)
            report.samples.append(sample)
            print(json.dumps(asdict(sample)), flush=True)
    return report


async def _run_sessions(
    server: ServerProcess, end: float, speech: bytes, random_source: random.Random, report: SoakReport
) -> None:
    """Run sessions one after the other, each with a random end."""
    while time.monotonic() < end:
        way, container = random_source.choice(_ENDS), random_source.choice(_CONTAINERS)
        seconds = random_source.uniform(0.4, 3.0)
        start = SessionStart(audio=AudioFormat(rate=RATE), container=container)  # type: ignore[arg-type]
        try:
            await _run_session(server.url, start, way, speech[: 2 * round(seconds * RATE)])
            report.sessions[way] += 1
        except RefusedError:
            report.sessions["refused"] += 1
            await asyncio.sleep(0.5)
        except StreamError as error:
            report.sessions[f"failed ({type(error).__name__})"] += 1


async def _run_session(url: str, start: SessionStart, way: str, speech: bytes) -> None:
    client = StreamClient(url, start, backoff=Backoff(attempts=1))
    async with client:
        speaking = asyncio.create_task(stream_utterance(client, speech))
        try:
            if way == "vanishes speaking":
                await asyncio.sleep(len(speech) / 2 / RATE / 2)
                return _abort_connection(client)
            async for message in client:
                if way == "interrupts" and speaking.done():
                    await client.interrupt()
                    way = "ends"
                elif isinstance(message, UtteranceEnded):
                    if way == "vanishes":
                        return _abort_connection(client)
                    await client.end()
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


def _abort_connection(client: StreamClient) -> None:
    """Drop the connection without closing it, as when a cable is pulled."""
    if client._socket is not None:
        client._socket.transport.abort()


async def _render_clip(rest: RestClient, audio: Path, report: SoakReport) -> None:
    """Generate a clip and remove it."""

    def create_and_remove() -> None:
        last = list(rest.watch(rest.create_clip(audio).id))[-1]
        rest.remove_clip(last.id)
        report.clips += last.state == "succeeded"

    await asyncio.to_thread(create_and_remove)


async def _wait_until_idle(server: ServerProcess) -> None:
    """Wait until all sessions have ended and their resources are released."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_REST_SECONDS):
            while _metric(server, "lipstream_sessions") > 0:
                await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)


def _take_sample(server: ServerProcess, seconds: float) -> Sample:
    tasks = _metric(server, "lipstream_asyncio_tasks")
    return Sample(round(seconds, 1), round(server.memory_mb, 1), server.threads, int(tasks), server.files)


def _metric(server: ServerProcess, name: str) -> float:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    match = re.search(rf"^{name} (\S+)$", text, re.M)
    return float(match[1]) if match else float("nan")


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples)
    return file.getvalue()


def main() -> None:
    """Exit with code 1 where something has grown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="Length of the soak in minutes.")
    parser.add_argument("--sessions", type=int, default=2, help="Number of sessions at once.")
    parser.add_argument("--stub", action="store_true", help="Use the stub engine, without a model.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the random choices.")
    parser.add_argument("--json", type=Path, default=None, help="JSON file for the results.")
    arguments = parser.parse_args()
    options = ["--max-sessions", str(arguments.sessions), *(["--stub"] if arguments.stub else [])]
    with serving(options, free_port(_PORT)) as server:
        speech = read_audio(recording_path())
        report = asyncio.run(run_soak(server, arguments.minutes, arguments.sessions, speech, arguments.seed))
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"machine": describe_machine(), **report.as_json()}, indent=2) + "\n"
        )
    print(report)
    raise SystemExit(1 if report.growth() else 0)


if __name__ == "__main__":
    main()
