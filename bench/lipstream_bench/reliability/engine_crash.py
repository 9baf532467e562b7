"""Crash test of the engine: how long frames are repeated, and whether audio is lost or repeated.

    python -m lipstream_bench.reliability.engine_crash --sessions 4 --kills 3

Sessions of the bundled model get audio at the pace of a microphone while the engine's process gets SIGKILL.
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

from ..live.overhead import repeat_audio
from ..live.server_process import ServerProcess, descendants, serving
from ..live.sustained import stream_utterance
from ..machine.machine import describe_machine

_PORT = 8095
_BETWEEN_SECONDS = 6.0
_FRAMES_AFTER_KILL = 20  # among them the one after the gap; some may have been sent before


@dataclass
class SessionRecord:
    """Record of one session.

    Attributes:
        sent_ms: Audio sent to it; 0 for a session that only listens.
        moments: Arrival of each frame that differs from the previous one.
        samples: Audio samples received.
        frames: Frames received.
        position_ms: Audio that was spoken.
        connections: Number of connections.
        shows: Whether an utterance is shown.
        ended: Whether an utterance has ended.
        restarts: Restarts of the engine that the server reports.
        repeated_frames: Repeated frames.
        announced: Whether a restart was reported while it lasted.
        closing: Reason of the end.
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
    announced: bool = False
    closing: str = ""
    _last: bytes = b""

    def record(self, message: object) -> None:
        """Record a message."""
        match message:
            case bytes():
                self._record_media(TaggedMedia.unpack(message))
            case SessionReady():
                self.connections += 1
            case UtteranceStarted():
                self.shows = True
            case UtteranceEnded():
                self.shows, self.ended = False, True
                self.position_ms += message.position_ms
            case Stats():
                self.restarts, self.repeated_frames = message.engine_restarts, message.repeated_frames
                self.announced = self.announced or message.engine == "restarting"
            case SessionClosing():
                self.closing = message.reason

    def _record_media(self, unit: TaggedMedia) -> None:
        if unit.tag is MediaTag.PCM:
            self.samples += len(unit.payload) // 2
            return
        self.frames += 1
        if (self.shows or not self.sent_ms) and unit.payload != self._last:
            self.moments.append(time.monotonic())
        self._last = unit.payload

    def usual_gap(self, start: float, end: float) -> float:
        """Return the longest time in seconds without a new frame between two moments."""
        pairs = zip(self.moments, self.moments[1:], strict=False)
        return max((b - a for a, b in pairs if a > start and b < end), default=float("nan"))

    def gap_after(self, killed: float) -> float:
        """Return the time in seconds without a new frame around or after a kill."""
        after = [b - a for a, b in zip(self.moments, self.moments[1:], strict=False) if b > killed]
        return max(after[:_FRAMES_AFTER_KILL], default=float("nan"))


@dataclass(frozen=True)
class EngineCrashReport:
    """Result of a crash test of the engine.

    Attributes:
        sessions: The sessions.
        usual: Longest gap in seconds before each kill (rows) of each session (columns).
        gaps: Gap in seconds after each kill (rows) of each session (columns).
        torch_in_server: Whether the server's own process has loaded torch.
    """

    sessions: list[SessionRecord]
    usual: list[list[float]]
    gaps: list[list[float]]
    torch_in_server: bool

    @property
    def passed(self) -> bool:
        """Whether no audio is lost or repeated and no session had to reconnect."""
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
        """Return the report as text."""
        lines = [json.dumps(describe_machine())]
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
                f"{session.restarts} restarts, restart {'announced' if session.announced else 'NOT ANNOUNCED'}, "
                f"closed {session.closing!r}"
            )
        lines.append(f"torch in the server's process: {'YES' if self.torch_in_server else 'no'}")
        lines.append("no audio lost or repeated, no session reconnected" if self.passed else "FAILED")
        return lines


async def run_engine_crash_test(
    server: ServerProcess, speech: bytes, count: int, speaking: int, kills: int
) -> EngineCrashReport:
    """Run sessions and kill the engine.

    Args:
        server: The server.
        speech: s16le, 16 kHz mono, repeated.
        count: Number of sessions.
        speaking: Number of sessions that get audio; the others listen.
        kills: Number of kills.
    """
    audio = repeat_audio(speech, round((kills + 1) * _BETWEEN_SECONDS * RATE) * 2)
    seconds = len(audio) / 2 / RATE
    sessions = [SessionRecord(1000 * seconds if number < speaking else 0.0) for number in range(count)]
    running = [asyncio.create_task(_run_session(server.url, audio, session)) for session in sessions]
    killed: list[float] = []
    while not all(session.shows or not session.sent_ms for session in sessions):
        await asyncio.sleep(0.05)
        for task in running:
            if task.done():
                task.result()
    for _ in range(kills):
        await asyncio.sleep(_BETWEEN_SECONDS / 2)
        os.kill(engine_pid(server.process.pid), signal.SIGKILL)
        killed.append(time.monotonic())
        await asyncio.sleep(_BETWEEN_SECONDS / 2)
    torch = "libtorch" in Path(f"/proc/{server.process.pid}/maps").read_text()
    await asyncio.gather(*running)
    half = _BETWEEN_SECONDS / 2
    usual = [[session.usual_gap(at - half, at) for session in sessions] for at in killed]
    gaps = [[session.gap_after(at) for session in sessions] for at in killed]
    return EngineCrashReport(sessions, usual, gaps, torch)


async def _run_session(url: str, audio: bytes, session: SessionRecord) -> None:
    start = SessionStart(audio=AudioFormat(rate=RATE), container="jpeg")
    async with StreamClient(url, start) as client:
        session.record(client.ready)
        speaking = asyncio.create_task(_send_audio(client, audio, session))
        stats_requested = False
        async for message in client:
            session.record(message)
            if (session.ended or (speaking.done() and not session.sent_ms)) and not stats_requested:
                stats_requested = True
                await client.ask_stats()
            elif stats_requested and isinstance(message, Stats):
                await client.end()
        await speaking


async def _send_audio(client: StreamClient, audio: bytes, session: SessionRecord) -> None:
    if session.sent_ms:
        await stream_utterance(client, audio)
    else:
        await asyncio.sleep(len(audio) / 2 / RATE)


def engine_pid(server: int) -> int:
    """Return the id of the engine's process, which is forked from a child of the server."""
    children = descendants(server)
    (pid,) = {each for child in children for each in descendants(child)}
    return pid


def main(
    sessions: Annotated[int, typer.Option(help="Number of sessions at once.", min=1)] = 4,
    speaking: Annotated[
        int, typer.Option(help="Number of sessions that get audio; the others listen.", min=1)
    ] = 4,
    kills: Annotated[int, typer.Option(help="Number of kills, one every six seconds.", min=1)] = 3,
    device: Annotated[str, typer.Option(help="Device of the server.")] = "cpu",
) -> None:
    """Exit with code 1 where audio is lost or repeated, or a session has to reconnect."""
    speech = read_audio(recording_path())
    with serving(["--max-sessions", str(sessions), "--device", device], free_port(_PORT)) as server:
        report = asyncio.run(run_engine_crash_test(server, speech, sessions, speaking, kills))
    print("\n".join(report.lines()))
    raise typer.Exit(0 if report.passed else 1)


if __name__ == "__main__":
    typer.run(main)
