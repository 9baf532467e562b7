"""Crash test: no accepted clip may be lost when the server is killed.

    python -m lipstream_bench.reliability.crashes --rounds 20

Clips are posted without a pause while the server gets SIGKILL at random moments and is started again; in the end
its clips are compared with those it accepted.
"""

from __future__ import annotations

import io
import random
import tempfile
import threading
import time
import wave
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer

from lipstream_client.errors import StreamError
from lipstream_client.rest import ClipInfo, RestClient
from lipstream_models.audio.samples import SAMPLE_RATE
from lipstream_server.commands.demo import free_port
from lipstream_server.storage.database import is_intact, open_database

from ..live.server_process import serving

_PORT = 8094
_POSTERS = 3
_LIFETIME_SECONDS = (0.3, 3.0)  # of a server
_FINISH_SECONDS = 600.0


@dataclass
class Ledger:
    """Record of posted clips; safe for use by several threads.

    Attributes:
        accepted: Identifiers of the clips of each idempotency key.
        pending_keys: Keys without an answer, which are sent again.
        lock: Guards the others.
        count: Number of keys.
    """

    accepted: dict[str, set[str]] = field(default_factory=dict)
    pending_keys: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0

    def next_key(self) -> str:
        """Return a key that is to be sent again, or a new one."""
        with self.lock:
            if self.pending_keys:
                return self.pending_keys.pop()
            self.count += 1
            return f"key-{self.count}"

    def record_answer(self, key: str, clip: str) -> None:
        """Record the clip of a key."""
        with self.lock:
            self.accepted.setdefault(key, set()).add(clip)

    def record_failure(self, key: str) -> None:
        """Record a key without an answer."""
        with self.lock:
            self.pending_keys.append(key)


@dataclass(frozen=True)
class CrashReport:
    """Result of a crash test.

    Attributes:
        kills: Number of kills.
        accepted: Clips that the server accepted.
        succeeded: Clips that it finished.
        lost: Accepted clips that are gone.
        duplicated: Keys with more than one clip.
        unknown: Clips that were not posted.
        broken: Clips that do not decode to their full length.
        intact: Whether the database is intact.
    """

    kills: int
    accepted: int
    succeeded: int
    lost: int
    duplicated: int
    unknown: int
    broken: int
    intact: bool

    @property
    def passed(self) -> bool:
        """Whether every accepted clip is finished once and whole."""
        failures = self.lost + self.duplicated + self.unknown + self.broken
        return self.intact and not failures and self.accepted == self.succeeded

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.accepted} clips accepted, {self.succeeded} finished; {self.lost} lost, "
            f"{self.duplicated} duplicated, {self.unknown} unknown, {self.broken} that do not decode to their full length; "
            f"the database is {'intact' if self.intact else 'DAMAGED'}"
        )


def run_crash_test(rounds: int, seed: int, folder: Path) -> CrashReport:
    """Kill the server several times and compare its clips with the accepted ones.

    Args:
        rounds: Number of kills.
        seed: Seed of their moments.
        folder: An empty folder for all files.
    """
    random_source = random.Random(seed)  # noqa: S311
    (audio := folder / "speech.wav").write_bytes(_noise_wav(1.0))
    data, ledger = folder / "data", Ledger()
    options = ["--stub", "--data", str(data)]
    for _ in range(rounds):
        with serving(options, port := free_port(_PORT)) as server:
            stop = threading.Event()
            rest = RestClient(f"http://127.0.0.1:{port}")
            posters = [
                threading.Thread(target=_post_clips, args=(rest, audio, ledger, stop))
                for _ in range(_POSTERS)
            ]
            for poster in posters:
                poster.start()
            time.sleep(random_source.uniform(*_LIFETIME_SECONDS))
            server.process.kill()
            stop.set()
            for poster in posters:
                poster.join()
    with serving(options, port := free_port(_PORT)):
        rest = RestClient(f"http://127.0.0.1:{port}")
        while ledger.pending_keys:  # retry with the same key, while the server is not killed
            key = ledger.next_key()
            ledger.record_answer(key, rest.create_clip(audio, key=key).id)
        clips = _wait_for_clips(rest)
        broken = sum(not _is_complete(rest, clip, folder / "video.mp4") for clip in clips)
    database = open_database(data / "lipstream.db")
    try:
        return _compare(rounds, ledger, clips, broken, is_intact(database))
    finally:
        database.dispose()


def _post_clips(rest: RestClient, audio: Path, ledger: Ledger, stop: threading.Event) -> None:
    while not stop.is_set():
        key = ledger.next_key()
        try:
            ledger.record_answer(key, rest.create_clip(audio, key=key).id)
        except StreamError:
            ledger.record_failure(key)


def _wait_for_clips(rest: RestClient) -> list[ClipInfo]:
    end = time.monotonic() + _FINISH_SECONDS
    while True:
        clips = rest.clips()
        if all(clip.final for clip in clips) or time.monotonic() > end:
            return clips
        time.sleep(0.2)


def _is_complete(rest: RestClient, clip: ClipInfo, path: Path) -> bool:
    if clip.state != "succeeded":
        return False
    size = rest.download(clip.id, path)
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    return frames == clip.frames_total and size == clip.bytes


def _compare(
    rounds: int, ledger: Ledger, clips: list[ClipInfo], broken: int, database_intact: bool
) -> CrashReport:
    accepted = {clip for clips_of_key in ledger.accepted.values() for clip in clips_of_key}
    listed = Counter(clip.id for clip in clips)
    return CrashReport(
        kills=rounds,
        accepted=len(accepted),
        succeeded=sum(clip.state == "succeeded" for clip in clips),
        lost=len(accepted - listed.keys()),
        duplicated=sum(len(clips_of_key) > 1 for clips_of_key in ledger.accepted.values())
        + len(clips)
        - len(listed),
        unknown=len(listed.keys() - accepted),
        broken=broken,
        intact=database_intact,
    )


def _noise_wav(seconds: float) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(1).normal(0, 3000, round(SAMPLE_RATE * seconds)).astype("<i2")
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(noise.tobytes())
    return file.getvalue()


def main(
    rounds: Annotated[int, typer.Option(help="Number of kills.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the moments of the kills.")] = 1,
) -> None:
    """Exit with code 1 where anything is lost, duplicated or broken."""
    with tempfile.TemporaryDirectory() as folder:
        report = run_crash_test(rounds, seed, Path(folder))
    print(report)
    raise typer.Exit(0 if report.passed else 1)


if __name__ == "__main__":
    typer.run(main)
