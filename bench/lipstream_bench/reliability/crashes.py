"""Is anything lost when a server is killed? Clips are posted without a pause, the server gets SIGKILL at random moments and is
started again; in the end what it has is compared with what it accepted.

    python -m lipstream_bench.reliability.crashes --rounds 20
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
from lipstream_server.commands.demo import free_port
from lipstream_server.storage.database import intact, open_database

from ..live.server_process import serving

_PORT = 8094
_POSTERS = 3
_SECONDS = (0.3, 3.0)  # that a server lives
_FINISH_SECONDS = 600.0


@dataclass
class Ledger:
    """accepted: the clip that a key was answered with; unsure: keys whose answer did not come, which are sent again."""

    accepted: dict[str, set[str]] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0

    def key(self) -> str:
        with self.lock:
            if self.unsure:
                return self.unsure.pop()
            self.count += 1
            return f"key-{self.count}"

    def answered(self, key: str, clip: str) -> None:
        with self.lock:
            self.accepted.setdefault(key, set()).add(clip)

    def unanswered(self, key: str) -> None:
        with self.lock:
            self.unsure.append(key)


@dataclass(frozen=True)
class Outcome:
    """lost: accepted and gone; duplicated: keys that made more than one clip; unknown: clips that nobody posted."""

    kills: int
    accepted: int
    succeeded: int
    lost: int
    duplicated: int
    unknown: int
    broken: int
    intact: bool

    @property
    def good(self) -> bool:
        bad = self.lost + self.duplicated + self.unknown + self.broken
        return self.intact and not bad and self.accepted == self.succeeded

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.accepted} clips accepted, {self.succeeded} finished; {self.lost} lost, "
            f"{self.duplicated} duplicated, {self.unknown} unknown, {self.broken} that do not decode to their full length; "
            f"the database is {'intact' if self.intact else 'DAMAGED'}"
        )


def crash(rounds: int, seed: int, folder: Path) -> Outcome:
    """Kill and compare. folder: for everything."""
    chance = random.Random(seed)  # noqa: S311
    (audio := folder / "speech.wav").write_bytes(_recording(1.0))
    data, ledger = folder / "data", Ledger()
    options = ["--stub", "--data", str(data)]
    for _ in range(rounds):
        with serving(options, port := free_port(_PORT)) as server:
            stop = threading.Event()
            rest = RestClient(f"http://127.0.0.1:{port}")
            posters = [
                threading.Thread(target=_post, args=(rest, audio, ledger, stop)) for _ in range(_POSTERS)
            ]
            for poster in posters:
                poster.start()
            time.sleep(chance.uniform(*_SECONDS))
            server.process.kill()
            stop.set()
            for poster in posters:
                poster.join()
    with serving(options, port := free_port(_PORT)):
        rest = RestClient(f"http://127.0.0.1:{port}")
        while ledger.unsure:  # a retry with the same key, now that the server stays
            key = ledger.key()
            ledger.answered(key, rest.create_clip(audio, key=key).id)
        clips = _when_finished(rest)
        broken = sum(not _whole(rest, clip, folder / "video.mp4") for clip in clips)
    database = open_database(data / "lipstream.db")
    try:
        return _compared(rounds, ledger, clips, broken, intact(database))
    finally:
        database.dispose()


def _post(rest: RestClient, audio: Path, ledger: Ledger, stop: threading.Event) -> None:
    while not stop.is_set():
        key = ledger.key()
        try:
            ledger.answered(key, rest.create_clip(audio, key=key).id)
        except StreamError:
            ledger.unanswered(key)


def _when_finished(rest: RestClient) -> list[ClipInfo]:
    end = time.monotonic() + _FINISH_SECONDS
    while True:
        clips = rest.clips()
        if all(clip.final for clip in clips) or time.monotonic() > end:
            return clips
        time.sleep(0.2)


def _whole(rest: RestClient, clip: ClipInfo, path: Path) -> bool:
    if clip.state != "succeeded":
        return False
    size = rest.download(clip.id, path)
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    return frames == clip.frames_total and size == clip.bytes


def _compared(rounds: int, ledger: Ledger, clips: list[ClipInfo], broken: int, good: bool) -> Outcome:
    accepted = {clip for made in ledger.accepted.values() for clip in made}
    listed = Counter(clip.id for clip in clips)
    return Outcome(
        kills=rounds,
        accepted=len(accepted),
        succeeded=sum(clip.state == "succeeded" for clip in clips),
        lost=len(accepted - listed.keys()),
        duplicated=sum(len(made) > 1 for made in ledger.accepted.values()) + len(clips) - len(listed),
        unknown=len(listed.keys() - accepted),
        broken=broken,
        intact=good,
    )


def _recording(seconds: float) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(1).normal(0, 3000, round(16_000 * seconds)).astype("<i2")
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(noise.tobytes())
    return file.getvalue()


def main(
    rounds: Annotated[int, typer.Option(help="how often the server is killed", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="of the moments")] = 1,
) -> None:
    """Ends with 1 where anything is lost, duplicated or broken."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = crash(rounds, seed, Path(folder))
    print(outcome)
    raise typer.Exit(0 if outcome.good else 1)


if __name__ == "__main__":
    typer.run(main)
