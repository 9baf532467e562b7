"""Session of one client: receives audio and commands, generates windows as they are due, sends media by the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from ..auth.caller import SessionGrant
from ..engines.base import EngineGoneError, OpenedStream
from ..media.live.audio_input import PcmDecoder
from ..media.live.media_output import MediaOutput, open_media_output
from ..protocol import (
    AudioAppend,
    ClientMessage,
    CloseCode,
    ErrorCode,
    Interrupt,
    Ping,
    Pong,
    SessionClosing,
    SessionEnd,
    SessionStart,
    StatsRequest,
    UtteranceEnd,
    UtteranceStarted,
)
from .channel import Channel
from .conversation import BufferFullError, Conversation
from .pacer import Pacer
from .parsing import decode_base64_audio, parse_message
from .playout import MediaChunk
from .service import Service
from .session_errors import ProtocolError, SessionClosed
from .session_messages import StatsBuilder, build_ready
from .session_telemetry import SessionTelemetry
from .window_loop import WindowLoop

T = TypeVar("T")
_WARNING_INTERVAL_S = 5.0


class Session:
    """Three loops over one `Conversation`: receive, generate windows, send.

    Args:
        id: Identifier of the session.
        channel: Connection to the client.
        service: Engine and limits that sessions share.
        start: First message of the client.
        opened: Stream at its start.
        grant: What the client's credential allows.
    """

    def __init__(
        self,
        id: str,
        channel: Channel,
        service: Service,
        start: SessionStart,
        opened: OpenedStream,
        grant: SessionGrant,
    ) -> None:
        settings = service.settings
        self._id, self._channel, self._service, self._start, self._grant = id, channel, service, start, grant
        self._preset = start.preset or service.preset
        self._max_seconds = min(settings.max_session_seconds, grant.max_seconds)
        self.telemetry = SessionTelemetry(service.telemetry, id, self._preset, start.container)
        self._drain, self._drain_announced = service.telemetry.drain, False
        self._started_at = self._last_message_at = time.monotonic()
        self._last_warning_at = float("-inf")
        self._reader = PcmDecoder(start.audio)
        self._conversation = Conversation(
            opened, start.audio.rate, service.create_planner(), settings.conversation, start.idle
        )
        self._pacer = Pacer(self._started_at, settings.max_clock_lag_seconds)
        self._stats = StatsBuilder(
            self._conversation,
            self._pacer,
            self._reader,
            lambda: service.engine_health,
            lambda: service.limiter.active,
        )
        self._windows = WindowLoop(
            self._conversation, service.scheduler, self._preset, settings.engine.max_attempts, self.telemetry
        )
        self._changed, self._stop = asyncio.Event(), asyncio.Event()
        self._send_order = asyncio.Lock()  # media, and messages about it, stay in order
        self._encoding: asyncio.Future[object] | None = None
        self._errors = 0

    async def run(self) -> None:
        """Run the session to its end.

        Raises:
            SessionClosed: The normal end, or one that the server decides.
            ClientGoneError, SlowReaderError, MessageTooBigError: The connection failed.
            EngineGoneError: The engine is lost.
        """
        engine, settings = self._service.engine, self._service.settings
        container, (width, height) = self._start.container, engine.size
        media = await self._encode(
            lambda: open_media_output(container, width, height, engine.fps, settings.watermark)
        )
        ready = build_ready(
            self._id, self._start, self._preset, engine, settings, media.media_type, self._max_seconds
        )
        await self._channel.send(ready, *media.initial_messages())
        self._pacer.started_at = time.monotonic()
        self._service.conversations.add(self._conversation)
        error: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(), name=f"receive {self._id}")
                tasks.create_task(self._windows.run(self._changed), name=f"windows {self._id}")
                tasks.create_task(self._send(media), name=f"send {self._id}")
        except BaseExceptionGroup as group:
            # The raised exception must not refer to the group, nor the group to its traceback: such a cycle would keep
            # encoders, with their threads and buffers, alive until the garbage collector runs.
            error = group.exceptions[0]
            group.__traceback__ = None
        finally:
            self._service.conversations.discard(self._conversation)
            self._windows.cancel()
            if self._encoding is not None:
                await asyncio.wait([self._encoding])
        try:
            if error is not None:
                raise error
        finally:
            del error

    async def _receive(self) -> None:
        while not self._stop.is_set():
            message = await self._channel.receive()
            self._last_message_at = time.monotonic()
            try:
                if isinstance(message, bytes):
                    self._add_audio(message)
                else:
                    await self._dispatch(parse_message(message))
            except ProtocolError as error:
                await self._send_error(error)
            self._changed.set()

    async def _send_error(self, error: ProtocolError) -> None:
        self._errors += 1
        if self._errors > self._service.settings.max_client_errors:
            text = f"the session ends after {self._errors} errors of the client"
            raise SessionClosed(CloseCode.PROTOCOL, "protocol", ErrorCode.TOO_MANY_ERRORS, text)
        await self._channel.send(error.to_message())

    async def _dispatch(self, message: ClientMessage) -> None:
        match message:
            case AudioAppend():
                self._add_audio(decode_base64_audio(message.audio))
            case UtteranceEnd():
                self._end_utterance()
            case Interrupt():
                await self._interrupt()
            case SessionEnd():
                self._stop.set()
            case Ping():
                await self._channel.send(Pong(id=message.id))
            case StatsRequest():
                async with self._send_order:  # not state "idle" before the utterance.ended that led to it
                    await self._channel.send(self._stats.build())
            case SessionStart():
                text = "the session has started already; open another connection for another session"
                raise ProtocolError(ErrorCode.ALREADY_STARTED, text)

    def _add_audio(self, audio: bytes) -> None:
        samples = self._reader.decode(audio)
        try:
            self._conversation.add_audio(samples, time.monotonic())
        except BufferFullError as error:
            raise ProtocolError(ErrorCode.BUFFER_FULL, str(error)) from error

    def _end_utterance(self) -> None:
        self._conversation.end_utterance()
        if dropped := self._reader.drop_incomplete():
            text = (
                f"the utterance ended within a sample: expected {self._start.audio.sample_bytes} bytes, got {dropped}, "
                "which were dropped"
            )
            raise ProtocolError(ErrorCode.BAD_AUDIO, text)

    async def _interrupt(self) -> None:
        ended = self._conversation.interrupt()
        self.telemetry.record_interrupt()
        self._reader.drop_incomplete()
        self._windows.cancel()
        async with self._send_order:
            await self._channel.send(*ended)

    async def _send(self, media: MediaOutput) -> None:
        while not self._stop.is_set():
            self._check_limits()
            await self._announce_drain()
            async with self._send_order:
                # The first frame of an utterance does not wait for a second one in its fragment.
                count = 1 if self._conversation.awaits_first_frame else self._service.fragment_frames
                chunk = self._conversation.next_chunk(count, time.monotonic())
                await self._send_chunk(media, chunk)
            self._changed.set()
            await self._send_warning()
            media_time = self._conversation.media_ms / 1000
            await self._sleep(self._pacer.seconds_until(media_time, time.monotonic()))
        await self._channel.send(*await self._encode(media.flush))
        raise SessionClosed(CloseCode.NORMAL, "ended")

    async def _send_chunk(self, media: MediaOutput, chunk: MediaChunk) -> None:
        started_at = time.monotonic()
        messages = await self._encode(lambda: media.encode(chunk.frames, chunk.samples, chunk.utterance))
        encoded_at = time.monotonic()
        await self._channel.send(*chunk.events, *messages)
        sent_at = time.monotonic()
        media_start = self._conversation.media_ms / 1000 - len(chunk.frames) / self._service.engine.fps
        lateness = max(0.0, started_at - self._pacer.due_at(media_start))
        self.telemetry.record_fragment(chunk, started_at, encoded_at, sent_at, lateness)
        counters = self._conversation.counters
        if any(isinstance(event, UtteranceStarted) for event in chunk.events):
            self._conversation.record_first_frame_sent(encoded_at - started_at, sent_at - encoded_at)
            if counters.latency is not None:
                self.telemetry.record_first_frame(counters.latency.total)
        self.telemetry.record_counters(counters, self._pacer.skipped)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not past the end of the session."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _encode(self, function: Callable[[], T]) -> T:
        """Call a function in an encoder thread; `run` waits for it even if the session is cancelled meanwhile."""
        future = asyncio.get_running_loop().run_in_executor(self._service.encoders, function)
        self._encoding = future  # type: ignore[assignment]  # only to be waited for
        return await asyncio.shield(future)

    def _check_limits(self) -> None:
        now = time.monotonic()
        if self._service.engine_health.state == "lost":
            raise EngineGoneError("the engine is lost")
        if now - self._last_message_at > self._service.settings.idle_timeout_seconds:
            raise SessionClosed(CloseCode.IDLE, "idle")
        if now - self._started_at > self._max_seconds:
            raise SessionClosed(CloseCode.IDLE, "expired")
        if not self._grant.is_valid():
            text = "the API key of this session is no longer valid"
            raise SessionClosed(CloseCode.UNAUTHORIZED, "unauthorized", ErrorCode.UNAUTHORIZED, text)

    async def _announce_drain(self) -> None:
        """Send `session.closing` once in advance; end the session when the time is over."""
        left = self._drain.seconds_left(time.monotonic())
        if left <= 0:
            raise SessionClosed(CloseCode.RESTART, "shutdown")
        if self._drain.has_started and not self._drain_announced:
            self._drain_announced = True
            await self._channel.send(SessionClosing(reason="shutdown", seconds_left=round(left, 1)))

    async def _send_warning(self) -> None:
        """Send stats with a warning: news of the engine at once, everything else at intervals."""
        now = time.monotonic()
        is_due = now - self._last_warning_at >= _WARNING_INTERVAL_S or self._stats.has_engine_news
        if is_due and self._stats.warning() is not None:
            self._last_warning_at = now
            await self._channel.send(self._stats.build())
