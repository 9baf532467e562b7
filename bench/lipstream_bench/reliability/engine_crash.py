"""How long sessions hold a picture when the engine's process is killed, and whether any sound is lost or said twice.

    python -m lipstream_bench.reliability.engine_crash --sessions 4 --kills 3

Real sessions of the bundled model, each spoken to at the pace of a microphone, while the engine gets SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from lipstream_client.recording import RATE, read_audio
from lipstream_client.stream_client import StreamClient
from lipstream_models.bundled import recording_path
from lipstream_server.commands.demo import free_port
from lipstream_server.protocol import (
    AudioFormat,
    MediaTag,
    SessionClosing,
    SessionReady,
    SessionStart,
    Stats,
    TaggedMedia,
    UtteranceEnded,
    UtteranceStarted,
)

from ..live.overhead import repeated
from ..live.server_process import ServerProcess, descendants, serving
from ..live.sustained import say
from ..machine.machine import machine

_PORT = 8095
_BETWEEN_SECONDS = 6.0
_NEXT = 20  # pictures after a kill, among which is the one after the gap: some may have been sent already


@dataclass
class Session:
    """What one session brought. sent_ms: of sound to it; 0: it listens. moments: when each picture came that differs from the one
    before it, while it spoke, or listened.
    """

    sent_ms: float = 0.0
    moments: list[float] = field(default_factory=list)
    samples: int = 0
    pictures: int = 0
    position_ms: float = 0.0
    connections: int = 0
    shows: bool = False
    ended: bool = False
    restarts: int = 0
    repeated_frames: int = 0
    told: bool = False
    closing: str = ""
    _last: bytes = b""

    def take(self, message: object) -> None:
        match message:
            case bytes():
                self._media(TaggedMedia.unpack(message))
            case SessionReady():
                self.connections += 1
            case UtteranceStarted():
                self.shows = True
            case UtteranceEnded():
                self.shows, self.ended = False, True
                self.position_ms += message.position_ms
            case Stats():
                self.restarts, self.repeated_frames = message.engine_restarts, message.repeated_frames
                self.told = self.told or message.engine == "restarting"
            case SessionClosing():
                self.closing = message.reason

    def _media(self, unit: TaggedMedia) -> None:
        if unit.tag is MediaTag.PCM:
            self.samples += len(unit.payload) // 2
            return
        self.pictures += 1
        if (self.shows or not self.sent_ms) and unit.payload != self._last:
            self.moments.append(time.monotonic())
        self._last = unit.payload

    def usual(self, begin: float, end: float) -> float:
        """The longest time without a new picture that was over by `end`."""
        pairs = zip(self.moments, self.moments[1:], strict=False)
        return max((b - a for a, b in pairs if a > begin and b < end), default=float("nan"))

    def gap(self, killed: float) -> float:
        """The time without a new picture that began, or was under way, when the engine was killed."""
        after = [b - a for a, b in zip(self.moments, self.moments[1:], strict=False) if b > killed]
        return max(after[:_NEXT], default=float("nan"))


@dataclass(frozen=True)
class Outcome:
    """gaps: seconds, a row for each kill, a column for each session; usual: the longest in as many seconds before each kill, where
    sessions are more than the machine can hold.
    """

    sessions: list[Session]
    usual: list[list[float]]
    gaps: list[list[float]]
    torch_in_server: bool

    @property
    def good(self) -> bool:
        each = [
            session.connections == 1
            and session.closing == "ended"
            and session.restarts == len(self.gaps)
            and session.position_ms == session.sent_ms
            and session.samples == session.pictures * 1920
            for session in self.sessions
        ]
        return all(each) and not self.torch_in_server

    def lines(self) -> list[str]:
        said = [json.dumps(machine())]
        for number, (usual, gaps) in enumerate(zip(self.usual, self.gaps, strict=True), 1):
            before, after = (", ".join(f"{gap:.2f}" for gap in each) for each in (usual, gaps))
            said.append(
                f"kill {number}: longest time without a new picture, by session: {after} s; before it {before} s"
            )
        for number, session in enumerate(self.sessions, 1):
            said.append(
                f"session {number}: {session.connections} connection, "
                f"{session.position_ms:.0f} of {session.sent_ms:.0f} ms of sound, "
                f"{session.samples} samples for {session.pictures} pictures, {session.repeated_frames} held, "
                f"{session.restarts} restarts, told {'at once' if session.told else 'NEVER'}, closed {session.closing!r}"
            )
        said.append(f"torch in the server's process: {'YES' if self.torch_in_server else 'no'}")
        said.append("no sound lost or repeated, nobody reconnected" if self.good else "FAILED")
        return said


async def crash(server: ServerProcess, speech: bytes, count: int, speaking: int, kills: int) -> Outcome:
    """speech: s16le, 16 kHz mono, said again and again to `speaking` of `count` sessions."""
    sound = repeated(speech, round((kills + 1) * _BETWEEN_SECONDS * RATE) * 2)
    seconds = len(sound) / 2 / RATE
    sessions = [Session(1000 * seconds if number < speaking else 0.0) for number in range(count)]
    talking = [asyncio.create_task(_talk(server.url, sound, session)) for session in sessions]
    killed: list[float] = []
    while not all(session.shows or not session.sent_ms for session in sessions):
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
    usual = [[session.usual(at - half, at) for session in sessions] for at in killed]
    gaps = [[session.gap(at) for session in sessions] for at in killed]
    return Outcome(sessions, usual, gaps, torch)


async def _talk(url: str, sound: bytes, session: Session) -> None:
    start = SessionStart(audio=AudioFormat(rate=RATE), container="jpeg")
    async with StreamClient(url, start) as client:
        session.take(client.ready)
        speaking = asyncio.create_task(_say(client, sound, session))
        asked = False
        async for message in client:
            session.take(message)
            if (session.ended or (speaking.done() and not session.sent_ms)) and not asked:
                asked = True
                await client.ask_stats()
            elif asked and isinstance(message, Stats):
                await client.end()
        await speaking


async def _say(client: StreamClient, sound: bytes, session: Session) -> None:
    if session.sent_ms:
        await say(client, sound)
    else:
        await asyncio.sleep(len(sound) / 2 / RATE)


def engine(server: int) -> int:
    """The engine's process: it was copied from a child of the server's."""
    children = descendants(server)
    (found,) = {each for child in children for each in descendants(child)}
    return found


def main(
    sessions: Annotated[int, typer.Option(help="at once", min=1)] = 4,
    speaking: Annotated[int, typer.Option(help="of them; the others listen", min=1)] = 4,
    kills: Annotated[int, typer.Option(help="one every six seconds", min=1)] = 3,
    device: Annotated[str, typer.Option(help="of the server")] = "cpu",
) -> None:
    """Ends with 1 where sound is lost or repeated, or anybody has to connect again."""
    speech = read_audio(recording_path())
    with serving(["--max-sessions", str(sessions), "--device", device], free_port(_PORT)) as server:
        outcome = asyncio.run(crash(server, speech, sessions, speaking, kills))
    print("\n".join(outcome.lines()))
    raise typer.Exit(0 if outcome.good else 1)


if __name__ == "__main__":
    typer.run(main)
