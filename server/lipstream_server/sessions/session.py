"""One session: what a client sends changes its talk, windows are made as they fall due, bursts go out by the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from ..auth.caller import SessionGrant, unauthorized
from ..engines.base import (
    EngineGoneError,
    EngineLostError,
    Health,
    Opened,
)
from ..media.live.audio_input import PcmReader
from ..media.live.codecs import SOUND_RATE
from ..media.live.media_output import MediaOut, open_media
from ..media.provenance import DIGITAL_SOURCE_TYPE
from ..protocol import (
    MAX_MESSAGE_BYTES,
    AudioAppend,
    ClientMessage,
    CloseCode,
    ErrorCode,
    Interrupt,
    Limits,
    Ping,
    Pong,
    SessionClosing,
    SessionEnd,
    SessionReady,
    SessionStart,
    Stats,
    StatsRequest,
    UtteranceEnd,
    UtteranceStarted,
)
from .channel import Channel
from .conversation import (
    BufferFullError,
    Conversation,
    MediaChunk,
    WindowJob,
)
from .ending import ProtocolError, SessionClosed
from .pacer import Pacer
from .parsing import decode_audio, parse
from .service import Service
from .session_telemetry import SessionTelemetry

T = TypeVar("T")
_WARN_SECONDS = 5.0


class Session:
    """Three loops over one `Conversation`: receive, generate windows, send."""

    def __init__(
        self,
        id: str,
        channel: Channel,
        service: Service,
        start: SessionStart,
        opened: Opened,
        lease: SessionGrant,
    ) -> None:
        self.id = id
        self.telemetry = SessionTelemetry(
            service.telemetry, id, start.preset or service.preset, start.container
        )
        self._drain, self._told = service.telemetry.drain, False
        self._lease = lease
        self._max_seconds = min(service.settings.max_seconds, lease.seconds)
        self._channel, self._service, self._start = channel, service, start
        self._talk = Conversation(
            opened, start.audio.rate, service.planner(), service.settings.talk, start.idle
        )
        self._reader = PcmReader(start.audio)
        self._changed, self._stop = asyncio.Event(), asyncio.Event()
        self._sending = asyncio.Lock()  # what is sent of a burst, and what is said about it, stay in order
        self._window: asyncio.Future[object] | None = None
        self._encoding: asyncio.Future[object] | None = None
        self._errors = 0
        self._lost = 0  # windows in a row at which the engine was lost
        self._warned = _Warned(service.engine.health)
        now = time.monotonic()
        self._heard = self._began = now
        self._pacer = Pacer(now, service.settings.lag_seconds)

    async def run(self) -> None:
        width, height = self._service.engine.size
        fps = self._service.engine.fps
        container, mark = self._start.container, self._service.settings.mark
        media = await self._encode(lambda: open_media(container, width, height, fps, mark))
        await self._channel.send(self._ready(media.media_type), *media.begin())
        self._pacer.begin = time.monotonic()
        self._service.talks.add(self._talk)
        ending: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(), name=f"listen {self.id}")
                tasks.create_task(self._make_windows(), name=f"windows {self.id}")
                tasks.create_task(self._send(media), name=f"send {self.id}")
        except BaseExceptionGroup as group:
            # What is raised must not refer to the group, nor the group to its traceback: in such a circle encoders, with their
            # threads and buffers, would stay until Python's collector comes by.
            ending = group.exceptions[0]
            group.__traceback__ = None
        finally:
            self._service.talks.discard(self._talk)
            if self._window is not None:
                self._window.cancel()
            if self._encoding is not None:
                await asyncio.wait([self._encoding])
        try:
            if ending is not None:
                raise ending
        finally:
            del ending

    async def _listen(self) -> None:
        while not self._stop.is_set():
            message = await self._channel.receive()
            self._heard = time.monotonic()
            try:
                if isinstance(message, bytes):
                    self._hear(message)
                else:
                    await self._obey(parse(message))
            except ProtocolError as complaint:
                await self._complain(complaint)
            self._changed.set()

    async def _complain(self, complaint: ProtocolError) -> None:
        self._errors += 1
        if self._errors > self._service.settings.errors:
            text = f"{self._errors} mistakes in one session"
            raise SessionClosed(CloseCode.PROTOCOL, "protocol", ErrorCode.TOO_MANY_ERRORS, text)
        await self._channel.send(complaint.message())

    async def _obey(self, message: ClientMessage) -> None:
        match message:
            case AudioAppend():
                self._hear(decode_audio(message.audio))
            case UtteranceEnd():
                self._end_utterance()
            case Interrupt():
                await self._interrupt()
            case SessionEnd():
                self._stop.set()
            case Ping():
                await self._channel.send(Pong(id=message.id))
            case StatsRequest():
                async with self._sending:  # not "idle" before the utterance.ended that made it so
                    await self._channel.send(self._stats())
            case SessionStart():
                raise ProtocolError(
                    ErrorCode.ALREADY_STARTED, "this session has started; open another connection"
                )

    def _hear(self, audio: bytes) -> None:
        samples = self._reader.read(audio)
        try:
            self._talk.hear(samples, time.monotonic())
        except BufferFullError as error:
            raise ProtocolError(ErrorCode.BUFFER_FULL, str(error)) from error

    def _end_utterance(self) -> None:
        self._talk.end_utterance()
        if dropped := self._reader.drop_rest():
            whole = self._start.audio.sample_bytes
            raise ProtocolError(
                ErrorCode.BAD_AUDIO,
                f"the utterance ended within a sample: {dropped} of {whole} bytes came and were dropped",
            )

    async def _interrupt(self) -> None:
        ended = self._talk.interrupt()
        self.telemetry.record_interrupt()
        self._reader.drop_rest()
        if self._window is not None:
            self._window.cancel()
        async with self._sending:
            await self._channel.send(*ended)

    async def _make_windows(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while (due := self._talk.due(time.monotonic())) is not None:
                await self._make(due)

    async def _make(self, due: WindowJob) -> None:
        preset = self._start.preset or self._service.preset
        # Once is chance: sessions that were in step stay so. At the second time each shows whether it is its own window.
        alone = self._lost > 1
        window = self._service.scheduler.generate(due.request, due.deadline, preset, alone)
        self._window = window  # type: ignore[assignment]  # kept to be cancelled only
        await asyncio.wait([window])
        self._window = None
        if window.cancelled():
            return
        try:
            made = window.result()
        except EngineGoneError:
            raise
        except EngineLostError:
            self._lost += 1
            if self._lost >= self._service.settings.engine.tries:
                raise
            self._talk.lost(due)
            return
        self._lost = 0
        now = time.monotonic()
        self._talk.made(due, made, now)
        self.telemetry.record_window(due, made, now)

    async def _send(self, media: MediaOut) -> None:
        while not self._stop.is_set():
            self._check_times()
            await self._tell_of_drain()
            async with self._sending:
                # The first picture waits for no other.
                count = 1 if self._talk.beginning else self._service.fragment_frames
                burst = self._talk.burst(count, time.monotonic())
                await self._send_burst(media, burst)
            self._changed.set()
            await self._warn()
            await self._pause(self._pacer.wait(self._talk.media_ms / 1000, time.monotonic()))
        await self._channel.send(*await self._encode(media.finish))
        raise SessionClosed(CloseCode.NORMAL, "ended")

    async def _send_burst(self, media: MediaOut, burst: MediaChunk) -> None:
        begin = time.monotonic()
        messages = await self._encode(lambda: media.write(burst.pictures, burst.samples, burst.utterance))
        encoded = time.monotonic()
        await self._channel.send(*burst.events, *messages)
        sent, counters = time.monotonic(), self._talk.counters
        due = self._pacer.begin + self._talk.media_ms / 1000 - len(burst.pictures) / self._service.engine.fps
        self.telemetry.record_fragment(burst, begin, encoded, sent, max(0.0, begin - due))
        if any(isinstance(event, UtteranceStarted) for event in burst.events):
            self._talk.shown(encoded - begin, sent - encoded)
            if counters.latency is not None:
                self.telemetry.record_first_frame(counters.latency.total)
        self.telemetry.record_counters(counters, self._pacer.skipped)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _encode(self, work: Callable[[], T]) -> T:
        """Run in an encoder's thread; a session that is cancelled meanwhile still waits for it in `run`."""
        future = asyncio.get_running_loop().run_in_executor(self._service.encoders, work)
        self._encoding = future  # type: ignore[assignment]  # kept to be waited for only
        return await asyncio.shield(future)

    def _check_times(self) -> None:
        now, settings = time.monotonic(), self._service.settings
        if self._service.engine.health.state == "lost":
            raise EngineGoneError("the engine is lost")
        if now - self._heard > settings.idle_seconds:
            raise SessionClosed(CloseCode.IDLE, "idle")
        if now - self._began > self._max_seconds:
            raise SessionClosed(CloseCode.IDLE, "expired")
        if not self._lease.valid():
            raise unauthorized("the key of this session is not valid any more")

    async def _tell_of_drain(self) -> None:
        """Once in advance; when the limit is over, the session ends."""
        left = self._drain.left(time.monotonic())
        if left <= 0:
            raise SessionClosed(CloseCode.RESTART, "shutdown")
        if self._drain.begun and not self._told:
            self._told = True
            await self._channel.send(SessionClosing(reason="shutdown", seconds_left=round(left, 1)))

    async def _warn(self) -> None:
        """Tell the client, unasked but seldom, that pictures are held or time was skipped; and at once, that the engine failed."""
        now = time.monotonic()
        seldom = now - self._warned.at >= _WARN_SECONDS or self._restart() is not None
        if not seldom or self._warning() is None:
            return
        self._warned.at = now
        await self._channel.send(self._stats())

    def _warning(self) -> str | None:
        late = self._talk.counters.repeated_frames - self._warned.repeated_frames
        skipped = self._pacer.skipped - self._warned.skipped
        said = [f"{late} frames were not ready in time; the last frame was repeated"] if late else []
        said += [restart] if (restart := self._restart()) else []
        said += [f"the media clock was set back by {skipped * 1000:.0f} ms"] if skipped else []
        return "; ".join(said) or None

    def _restart(self) -> str | None:
        """What has become of the engine and has not been told."""
        health = self._service.engine.health
        if health == self._warned.health:
            return None
        if health.state == "restarting":
            return "the engine failed and is being restarted; the last frame is repeated until it is back"
        return f"the engine was restarted; restarts since the server's start: {health.restarts}"

    def _stats(self) -> Stats:
        talk, counters = self._talk, self._talk.counters
        warning = self._warning()
        health = self._warned.health = self._service.engine.health
        self._warned.repeated_frames, self._warned.skipped = counters.repeated_frames, self._pacer.skipped
        return Stats(
            state=talk.state,
            media_ms=talk.media_ms,
            frames=counters.frames,
            idle_frames=counters.idle_frames,
            repeated_frames=counters.repeated_frames,
            underrun_frames=counters.underrun_frames,
            buffered_ms=round(talk.backlog * 1000, 3),
            latency_ms=None if counters.latency is None else round(counters.latency.total * 1000, 3),
            latency=None if counters.latency is None else counters.latency.to_message(),
            lateness_ms=round(self._pacer.take_lateness() * 1000, 3),
            skipped_ms=round(self._pacer.skipped * 1000, 3),
            repaired_samples=self._reader.repaired,
            sessions=self._service.sessions,
            engine="running" if health.state == "running" else "restarting",
            engine_restarts=health.restarts,
            warning=warning,
        )

    def _ready(self, media_type: str) -> SessionReady:
        engine, settings = self._service.engine, self._service.settings
        return SessionReady(
            session=self.id,
            avatar=self._start.avatar or engine.avatars[0],
            preset=self._start.preset or self._service.preset,
            container=self._start.container,
            media_type=media_type,
            width=engine.size[0],
            height=engine.size[1],
            fps=engine.fps,
            audio_rate=SOUND_RATE,
            fragment_frames=settings.fragment_frames,
            digital_source_type=DIGITAL_SOURCE_TYPE,
            limits=Limits(
                max_message_bytes=MAX_MESSAGE_BYTES,
                buffered_ms=round(settings.talk.backlog * 1000),
                idle_timeout_seconds=settings.idle_seconds,
                max_seconds=self._max_seconds,
            ),
        )


class _Warned:
    """What the client has been told already."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self.repeated_frames = 0
        self.skipped = 0.0
        self.at = float("-inf")
