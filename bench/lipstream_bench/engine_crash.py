"""How long sessions hold a picture when the engine's process is killed, and whether any sound is lost or said twice.

    python -m lipstream_bench.engine_crash --sessions 4 --kills 3

Real sessions of the bundled model, each spoken to at the pace of a microphone, while the engine gets SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from lipstream_client.recording import RATE, read_audio
from lipstream_client.stream_client import StreamClient
from lipstream_models.bundled import recording_path
from lipstream_server.demo import free_port
from lipstream_server.protocol import (
    AudioFormat,
    SessionClosing,
    SessionReady,
    SessionStart,
    Stats,
    Tag,
    Tagged,
    UtteranceEnded,
    UtteranceStarted,
)

from .machine import machine
from .overhead import repeated
from .server_process import ServerProcess, serving
from .sustained import say

_PORT = 8095
_BETWEEN_SECONDS = 6.0


@dataclass
class Session:
    """What one session brought. moments: when each picture that differs from the one before it came, while it spoke."""

    moments: list[float] = field(default_factory=list)
    samples: int = 0
    pictures: int = 0
    position_ms: float = 0.0
    connections: int = 0
    shows: bool = False
    ended: bool = False
    restarts: int = 0
    late_frames: int = 0
    told: bool = False
    closing: str = ""
    _last: bytes = b""

    def take(self, message: object) -> None:
        match message:
            case bytes():
                self._media(Tagged.unpack(message))
            case SessionReady():
                self.connections += 1
            case UtteranceStarted():
                self.shows = True
            case UtteranceEnded():
                self.shows, self.ended = False, True
                self.position_ms += message.position_ms
            case Stats():
                self.restarts, self.late_frames = message.engine_restarts, message.late_frames
                self.told = self.told or message.engine == "restarting"
            case SessionClosing():
                self.closing = message.reason

    def _media(self, unit: Tagged) -> None:
        if unit.tag is Tag.PCM:
            self.samples += len(unit.payload) // 2
            return
        self.pictures += 1
        if self.shows and unit.payload != self._last:
            self.moments.append(time.monotonic())
        self._last = unit.payload

    def gap(self, begin: float, until: float) -> float:
        """The longest time without a new picture, of those that began before `until` and ended after `begin`."""
        pairs = zip(self.moments, self.moments[1:], strict=False)
        return max((b - a for a, b in pairs if b > begin and a < until), default=float("nan"))


@dataclass(frozen=True)
class Outcome:
    """gaps: seconds, a row for each kill, a column for each session; usual: the longest in as many seconds before each kill, where
    sessions are more than the machine can hold. sent_ms: of sound to each session.
    """

    sessions: list[Session]
    usual: list[list[float]]
    gaps: list[list[float]]
    sent_ms: float
    torch_in_server: bool

    @property
    def good(self) -> bool:
        each = [
            session.connections == 1
            and session.closing == "ended"
            and session.restarts == len(self.gaps)
            and session.position_ms == self.sent_ms
            and session.samples == session.pictures * 1920
            for session in self.sessions
        ]
        return all(each) and not self.torch_in_server

    def lines(self) -> list[str]:
        said = [f"{json.dumps(machine())}; each session was sent {self.sent_ms:.0f} ms of sound"]
        for number, (usual, gaps) in enumerate(zip(self.usual, self.gaps, strict=True), 1):
            before, after = (", ".join(f"{gap:.2f}" for gap in each) for each in (usual, gaps))
            said.append(
                f"kill {number}: longest time without a new picture, by session: {after} s; before it {before} s"
            )
        for number, session in enumerate(self.sessions, 1):
            said.append(
                f"session {number}: {session.connections} connection, {session.position_ms:.0f} ms of its sound sent, "
                f"{session.samples} samples for {session.pictures} pictures, {session.late_frames} held, "
                f"{session.restarts} restarts, told {'at once' if session.told else 'NEVER'}, closed {session.closing!r}"
            )
        said.append(f"torch in the server's process: {'YES' if self.torch_in_server else 'no'}")
        said.append("no sound lost or repeated, nobody reconnected" if self.good else "FAILED")
        return said


async def crash(server: ServerProcess, speech: bytes, count: int, kills: int) -> Outcome:
    """speech: s16le, 16 kHz mono, said again and again."""
    sound = repeated(speech, round((kills + 1) * _BETWEEN_SECONDS * RATE) * 2)
    sessions = [Session() for _ in range(count)]
    talking = [asyncio.create_task(_talk(server.url, sound, session)) for session in sessions]
    killed: list[float] = []
    while not all(session.shows for session in sessions):
        await asyncio.sleep(0.05)
        for task in talking:
            if task.done():
                task.result()
    for _ in range(kills):
        await asyncio.sleep(_BETWEEN_SECONDS / 2)
        os.kill(engine(server.process.pid), signal.SIGKILL)
        killed.append(time.monotonic())
        await asyncio.sleep(_BETWEEN_SECONDS / 2)
    torch = "libtorch" in Path(f"/proc/{server.process.pid}/maps").read_text()
    await asyncio.gather(*talking)
    half = _BETWEEN_SECONDS / 2
    usual = [[session.gap(at - half, at - 0.2) for session in sessions] for at in killed]
    gaps = [[session.gap(at, at + half) for session in sessions] for at in killed]
    return Outcome(sessions, usual, gaps, len(sound) / 2 / RATE * 1000, torch)


async def _talk(url: str, sound: bytes, session: Session) -> None:
    start = SessionStart(audio=AudioFormat(rate=RATE), container="jpeg")
    async with StreamClient(url, start) as client:
        session.take(client.ready)
        speaking = asyncio.create_task(say(client, sound))
        asked = False
        async for message in client:
            session.take(message)
            if session.ended and not asked:
                asked = True
                await client.ask_stats()
            elif asked and isinstance(message, Stats):
                await client.end()
        await speaking


def engine(server: int) -> int:
    """The engine's process: the grandchild of the server's (Linux)."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            status = (path / "status").read_text()
            found = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)
            parents[int(path.name)] = int(found[1]) if found else 0
    (grandchild,) = (pid for pid, parent in parents.items() if parents.get(parent) == server)
    return grandchild


def main(
    sessions: Annotated[int, typer.Option(help="at once", min=1)] = 4,
    kills: Annotated[int, typer.Option(help="one every six seconds", min=1)] = 3,
    device: Annotated[str, typer.Option(help="of the server")] = "cpu",
) -> None:
    """Ends with 1 where sound is lost or repeated, or anybody has to connect again."""
    speech = read_audio(recording_path())
    with serving(["--sessions", str(sessions), "--device", device], free_port(_PORT)) as server:
        outcome = asyncio.run(crash(server, speech, sessions, kills))
    print("\n".join(outcome.lines()))
    raise typer.Exit(0 if outcome.good else 1)


if __name__ == "__main__":
    typer.run(main)
