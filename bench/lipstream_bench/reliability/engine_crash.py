"""Kill the engine process under live sessions: time without a new frame, lost or repeated audio.

    python -m lipstream_bench.reliability.engine_crash --sessions 4 --kills 3

Sessions of the bundled model get speech at the pace of a microphone, while the engine process gets SIGKILL.
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

from ..live.overhead import loop_audio
from ..live.server_process import ServerProcess, descendants, serving
from ..live.sustained import say
from ..machine.machine import machine

_PORT = 8095
_BETWEEN_SECONDS = 6.0
_NEXT = 20  # frames after a kill; the first may have been sent before it


@dataclass
class SessionRecord:
    """Media of one session.

    Attributes:
        sent_ms: Audio sent to the server; 0 for an idle session.
        moments: Arrival time of each frame that differs from the one before.
    """

    sent_ms: float = 0.0
    moments: list[float] = field(default_factory=list)
    samples: int = 0
    frames: int = 0
    position_ms: float = 0.0
    connections: int = 0
    shows: bool = False
    ended: bool = False
    restarts: int = 0
    repeated_frames: int = 0
    notified: bool = False
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
                self.notified = self.notified or message.engine == "restarting"
            case SessionClosing():
                self.closing = message.reason

    def _media(self, unit: TaggedMedia) -> None:
        if unit.tag is MediaTag.PCM:
            self.samples += len(unit.payload) // 2
            return
        self.frames += 1
        if (self.shows or not self.sent_ms) and unit.payload != self._last:
            self.moments.append(time.monotonic())
        self._last = unit.payload

    def usual(self, begin: float, end: float) -> float:
        """Return the longest time without a new frame that ended before `end`."""
        pairs = zip(self.moments, self.moments[1:], strict=False)
        return max((b - a for a, b in pairs if a > begin and b < end), default=float("nan"))

    def gap(self, killed: float) -> float:
        """Return the time without a new frame that started, or was going on, when the engine was killed."""
        after = [b - a for a, b in zip(self.moments, self.moments[1:], strict=False) if b > killed]
        return max(after[:_NEXT], default=float("nan"))


@dataclass(frozen=True)
class EngineCrashOutcome:
    """Results of all kills.

    Attributes:
        gaps: Seconds without a new frame, a row for each kill, a column for each session.
        usual: The longest gap within the same time before each kill.
    """

    sessions: list[SessionRecord]
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
            and session.samples == session.frames * 1920
            for session in self.sessions
        ]
        return all(each) and not self.torch_in_server

    def lines(self) -> list[str]:
        lines = [json.dumps(machine())]
        for number, (usual, gaps) in enumerate(zip(self.usual, self.gaps, strict=True), 1):
            before, after = (", ".join(f"{gap:.2f}" for gap in each) for each in (usual, gaps))
            lines.append(
                f"kill {number}: longest time without a new frame, by session: {after} s; before it {before} s"
            )
        for number, session in enumerate(self.sessions, 1):
            lines.append(
                f"session {number}: {session.connections} connection, "
                f"{session.position_ms:.0f} of {session.sent_ms:.0f} ms of audio, "
                f"{session.samples} samples for {session.frames} frames, {session.repeated_frames} repeated, "
                f"{session.restarts} restarts, notified {'at once' if session.notified else 'NEVER'}, closed {session.closing!r}"
            )
        lines.append(f"torch in the server's process: {'YES' if self.torch_in_server else 'no'}")
        lines.append("no audio lost or repeated, nobody reconnected" if self.good else "FAILED")
        return lines


async def crash(
    server: ServerProcess, speech: bytes, count: int, speaking: int, kills: int
) -> EngineCrashOutcome:
    """Run `count` sessions, of which `speaking` repeat the speech, and kill the engine. speech: s16le, 16 kHz mono."""
    audio = loop_audio(speech, round((kills + 1) * _BETWEEN_SECONDS * RATE) * 2)
    seconds = len(audio) / 2 / RATE
    sessions = [SessionRecord(1000 * seconds if number < speaking else 0.0) for number in range(count)]
    talking = [asyncio.create_task(_talk(server.url, audio, session)) for session in sessions]
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
    return EngineCrashOutcome(sessions, usual, gaps, torch)


async def _talk(url: str, audio: bytes, session: SessionRecord) -> None:
    start = SessionStart(audio=AudioFormat(rate=RATE), container="jpeg")
    async with StreamClient(url, start) as client:
        session.take(client.ready)
        speaking = asyncio.create_task(_say(client, audio, session))
        asked = False
        async for message in client:
            session.take(message)
            if (session.ended or (speaking.done() and not session.sent_ms)) and not asked:
                asked = True
                await client.ask_stats()
            elif asked and isinstance(message, Stats):
                await client.end()
        await speaking


async def _say(client: StreamClient, audio: bytes, session: SessionRecord) -> None:
    if session.sent_ms:
        await say(client, audio)
    else:
        await asyncio.sleep(len(audio) / 2 / RATE)


def engine(server: int) -> int:
    """Return the engine process, which is forked from a child of the server."""
    children = descendants(server)
    (found,) = {each for child in children for each in descendants(child)}
    return found


def main(
    sessions: Annotated[int, typer.Option(help="number of sessions", min=1)] = 4,
    speaking: Annotated[int, typer.Option(help="sessions that speak; the others are idle", min=1)] = 4,
    kills: Annotated[int, typer.Option(help="number of kills, one every six seconds", min=1)] = 3,
    device: Annotated[str, typer.Option(help="device of the server")] = "cpu",
) -> None:
    """Exit with 1 if audio is lost or repeated, or a session had to reconnect."""
    speech = read_audio(recording_path())
    with serving(["--sessions", str(sessions), "--device", device], free_port(_PORT)) as server:
        outcome = asyncio.run(crash(server, speech, sessions, speaking, kills))
    print("\n".join(outcome.lines()))
    raise typer.Exit(0 if outcome.good else 1)


if __name__ == "__main__":
    typer.run(main)
