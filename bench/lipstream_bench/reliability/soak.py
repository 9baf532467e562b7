"""Does a server stay as it is? Sessions come, speak, interrupt, vanish; clips are made; and every round, when all have gone, its
memory, threads, tasks and open files are looked at.

    python -m lipstream_bench.reliability.soak --minutes 60
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
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
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
from ..live.sustained import say
from ..machine.machine import machine

_PORT = 8790
_ROUND_SECONDS = 10.0
_REST_SECONDS = 20.0
_WARM_SHARE = 0.2  # of the rounds, in which pools and caches fill
_SPARE = {
    "threads": 6,
    "tasks": 2,
    "files": 3,
}  # pools of threads fill when many are needed at once, and stay so
_SPARE_MB, _SPARE_SHARE = 15.0, 0.03
_CONTAINERS = ("fmp4", "webm", "jpeg")
_ENDS = ("ends", "interrupts", "vanishes", "vanishes speaking")


@dataclass(frozen=True)
class Sample:
    """A server at rest. seconds: since the soak began."""

    seconds: float
    memory_mb: float
    threads: int
    tasks: int
    files: int


@dataclass
class Soaked:
    """sessions: how many ended in which way."""

    samples: list[Sample] = field(default_factory=list)
    sessions: Counter[str] = field(default_factory=Counter)
    clips: int = 0

    def grown(self) -> list[str]:
        """What is not flat: the last third of the samples against the first, both after the warm-up."""
        samples = self.samples[round(len(self.samples) * _WARM_SHARE) :]
        third = max(1, len(samples) // 3)
        first, last = samples[:third], samples[-third:]
        found = []
        for name, spare in _SPARE.items():
            before, after = _middle(first, name), _middle(last, name)
            if after > before + spare:
                found.append(f"{name} {before:.0f} -> {after:.0f}")
        before, after = _middle(first, "memory_mb"), _middle(last, "memory_mb")
        if after > before + _SPARE_MB + _SPARE_SHARE * before:
            found.append(f"memory {before:.0f} -> {after:.0f} MB")
        return found

    def said(self) -> dict[str, object]:
        """For JSON, with the verdict."""
        # A Counter is not what `asdict` thinks: it would make one of pairs.
        samples = [asdict(sample) for sample in self.samples]
        return {
            "grown": self.grown(),
            "samples": samples,
            "sessions": dict(self.sessions),
            "clips": self.clips,
        }

    def __str__(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.sessions.items()))
        said = ", ".join(
            f"{name} {getattr(first, name):.0f} -> {getattr(last, name):.0f}"
            for name in ("memory_mb", *_SPARE)
        )
        verdict = "; ".join(self.grown())
        return f"{ways}, {self.clips} clips; {said}: {'NOT FLAT: ' + verdict if verdict else 'flat'}"


def _middle(samples: Sequence[Sample], name: str) -> float:
    return float(median(getattr(sample, name) for sample in samples))


async def soak(
    server: ServerProcess,
    minutes: float,
    sessions: int,
    speech: bytes,
    seed: int = 1,
    round_seconds: float = _ROUND_SECONDS,
) -> Soaked:
    """sessions: at once. speech: s16le, 16 kHz mono."""
    chance, soaked, begin = random.Random(seed), Soaked(), time.monotonic()  # noqa: S311
    rest = RestClient(server.url.replace("ws://", "http://"))
    with TemporaryDirectory() as folder:
        (audio := Path(folder, "speech.wav")).write_bytes(_wav(speech[: 2 * RATE]))
        while time.monotonic() - begin < 60 * minutes:
            end = time.monotonic() + round_seconds
            callers = [_calls(server, end, speech, chance, soaked) for _ in range(sessions)]
            await asyncio.gather(*callers, _posts(rest, audio, soaked))
            await _until_quiet(server)
            sample = _look(server, time.monotonic() - begin)
            soaked.samples.append(sample)
            print(json.dumps(asdict(sample)), flush=True)
    return soaked


async def _calls(
    server: ServerProcess, end: float, speech: bytes, chance: random.Random, soaked: Soaked
) -> None:
    """One session after the other, each with an end of its own."""
    while time.monotonic() < end:
        way, container = chance.choice(_ENDS), chance.choice(_CONTAINERS)
        seconds = chance.uniform(0.4, 3.0)
        start = SessionStart(audio=AudioFormat(rate=RATE), container=container)  # type: ignore[arg-type]
        try:
            await _call(server.url, start, way, speech[: 2 * round(seconds * RATE)])
            soaked.sessions[way] += 1
        except RefusedError:
            soaked.sessions["refused"] += 1
            await asyncio.sleep(0.5)
        except StreamError as error:
            soaked.sessions[f"failed ({type(error).__name__})"] += 1


async def _call(url: str, start: SessionStart, way: str, words: bytes) -> None:
    client = StreamClient(url, start, backoff=Backoff(attempts=1))
    async with client:
        speaking = asyncio.create_task(say(client, words))
        try:
            if way == "vanishes speaking":
                await asyncio.sleep(len(words) / 2 / RATE / 2)
                return _cut(client)
            async for message in client:
                if way == "interrupts" and speaking.done():
                    await client.interrupt()
                    way = "ends"
                elif isinstance(message, UtteranceEnded):
                    if way == "vanishes":
                        return _cut(client)
                    await client.end()
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


def _cut(client: StreamClient) -> None:
    """As when a cable is pulled: no farewell."""
    if client._socket is not None:
        client._socket.transport.abort()


async def _posts(rest: RestClient, audio: Path, soaked: Soaked) -> None:
    """A clip a round, which is removed when it is finished."""

    def post() -> None:
        last = list(rest.watch(rest.create_clip(audio).id))[-1]
        rest.remove_clip(last.id)
        soaked.clips += last.state == "succeeded"

    await asyncio.to_thread(post)


async def _until_quiet(server: ServerProcess) -> None:
    """Until nobody is there any more, and what a session leaves behind has been tidied up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_REST_SECONDS):
            while _metric(server, "lipstream_sessions") > 0:
                await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)


def _look(server: ServerProcess, seconds: float) -> Sample:
    tasks = _metric(server, "lipstream_asyncio_tasks")
    return Sample(round(seconds, 1), round(server.memory_mb, 1), server.threads, int(tasks), server.files)


def _metric(server: ServerProcess, name: str) -> float:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.search(rf"^{name} (\S+)$", text, re.M)
    return float(found[1]) if found else float("nan")


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples)
    return file.getvalue()


def main() -> None:
    """Ends with 1 where something is not flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--sessions", type=int, default=2, help="at once")
    parser.add_argument("--stub", action="store_true", help="without a model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    options = ["--max-sessions", str(arguments.sessions), *(["--stub"] if arguments.stub else [])]
    with serving(options, free_port(_PORT)) as server:
        speech = read_audio(recording_path())
        soaked = asyncio.run(soak(server, arguments.minutes, arguments.sessions, speech, arguments.seed))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": machine(), **soaked.said()}, indent=2) + "\n")
    print(soaked)
    raise SystemExit(1 if soaked.grown() else 0)


if __name__ == "__main__":
    main()
