"""Fuzz test of the streaming protocol: valid and invalid messages in any order, answered as server/README.md documents.

After each step a ping is sent, and everything up to its pong is checked against a model: the answers, and whether media
continues without a gap and matches the events.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from live_server import (
    AudioAppend,
    Client,
    Interrupt,
    Ping,
    SessionEnd,
    StatsRequest,
    UtteranceEnd,
    connected,
    get,
    running,
    tone,
    until,
)
from stream_model import SessionModel
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from lipstream_server.config.settings import ConversationSettings, ServerSettings, WindowSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.protocol import (
    MAX_MESSAGE_BYTES,
    PATH,
    AudioFormat,
    Error,
    ErrorCode,
    Message,
    Pong,
    SessionClosing,
    SessionReady,
    SessionStart,
    Stats,
    UtteranceEnded,
)

T = TypeVar("T")
MAX_ERRORS = 8
MAX_BUFFERED = 2.0
# No timeout ends a session, however slow the machine is.
SETTINGS = ServerSettings(
    max_sessions=4,
    start_timeout_seconds=1000,
    idle_timeout_seconds=1000,
    send_timeout_seconds=1000,
    max_client_errors=MAX_ERRORS,
    conversation=ConversationSettings(max_buffered_seconds=MAX_BUFFERED),
    windows=WindowSettings(lengths=(4, 8)),
)
GARBAGE = st.one_of(
    st.text(max_size=40),
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3).map(
        json.dumps
    ),
    st.sampled_from(
        [
            '{"type": "ping", "speed": 9}',
            '{"type": "pong"}',
            '{"type": "ping", "id": 3}',
            '{"type": "audio.append"}',
            '{"type": "audio.append", "audio": null}',
            '{"type": "session.start", "audio": {"rate": 7}}',
            '{"type": "session.start", "container": "avi"}',
            '{"type": "session.start", "colour": "red"}',
            '{"type": "utterance.end", "type2": 1}',
            "[" * 1000,
        ]
    ),
)
FORMATS = st.builds(
    AudioFormat,
    encoding=st.sampled_from(["s16le", "f32le"]),
    rate=st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000]),
    channels=st.sampled_from([1, 2]),
)
SIZES = st.sampled_from([0, 1, 2, 3, 7]) | st.integers(8_000, 60_000)
STARTS = st.builds(
    SessionStart,
    avatar=st.sampled_from([None, "red", "blue"]),
    audio=FORMATS,
    container=st.sampled_from(["rgb", "rgb", "jpeg"]),
    preset=st.sampled_from([None, "exact"]),
    idle=st.sampled_from(["alive", "still"]),
)


class ProtocolFuzz(RuleBasedStateMachine):
    """One connection after the other on one server."""

    def __init__(self, runner: asyncio.Runner, address: str) -> None:
        super().__init__()
        self.runner, self.address = runner, address
        self.client: Client | None = None
        self.model: SessionModel | None = None
        self.early_errors = 0  # errors before the start
        self.pings = 0

    def run(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(120):
                return await work

        return self.runner.run(bounded())

    async def exchange(self, *messages: Message | bytes | str) -> list[Any]:
        """Send messages; return what arrives until the server has read them."""
        client = self.connected
        self.pings += 1
        for message in (*messages, Ping(id=str(self.pings))):
            await client.send(message)
        found: list[Any] = []
        while True:
            message = await client.next()
            if isinstance(message, Pong) and message.id == str(self.pings):
                return found
            if self.model is not None:
                self.model.check(message)
            if not isinstance(message, bytes):
                found.append(message)

    async def receive_until_close(self, *messages: Message | bytes | str) -> tuple[list[Any], int | None]:
        """Send what ends the connection; return what arrives, and the close code."""
        client = self.connected
        found: list[Any] = []
        try:
            for message in messages:
                await client.send(message)
            while True:
                message = await client.next()
                if self.model is not None:
                    self.model.check(message)
                if not isinstance(message, bytes):
                    found.append(message)
        except ConnectionClosed:
            await client.socket.wait_closed()
        self.client = self.model = None
        self.early_errors = 0
        return found, client.socket.close_code

    @property
    def connected(self) -> Client:
        assert self.client is not None
        return self.client

    @property
    def session(self) -> SessionModel:
        assert self.model is not None
        return self.model

    def expect_error(self, code: ErrorCode, *messages: Message | bytes | str) -> None:
        """Send messages that are answered by one error, or by the end of the session after too many."""
        self.early_errors += self.model is None
        if self.model is not None:
            self.model.errors += 1
        if (self.model.errors if self.model else self.early_errors) > MAX_ERRORS:
            found, close = self.run(self.receive_until_close(*messages))
            assert close == 4400
            assert [each.code for each in found if isinstance(each, Error) and each.fatal] == [
                "too_many_errors"
            ]
            assert (found[-1].type, found[-1].reason) == ("session.closing", "protocol")
            return
        errors = [each for each in self.run(self.exchange(*messages)) if isinstance(each, Error)]
        assert [(each.code, each.fatal) for each in errors] == [(code, False)]
        assert errors[0].message

    def expect_no_error(self, *messages: Message | bytes | str) -> list[Any]:
        found = self.run(self.exchange(*messages))
        assert not [each for each in found if isinstance(each, Error | SessionClosing)], found
        return found

    # Before and around a session

    @initialize(start=STARTS | st.none())
    def first(self, start: SessionStart | None) -> None:
        self.connect(start)

    @precondition(lambda self: self.client is None)
    @rule(start=STARTS | st.none())
    def connect(self, start: SessionStart | None) -> None:
        socket = self.run(connect(f"ws://{self.address}{PATH}", max_size=None, compression=None))
        self.client = Client(socket)
        if start is not None:
            self.start(start)

    @precondition(lambda self: self.client and not self.model)
    @rule(start=STARTS)
    def start(self, start: SessionStart) -> None:
        self.model = SessionModel(start, MAX_BUFFERED)
        (ready,) = [each for each in self.expect_no_error(start) if isinstance(each, SessionReady)]
        assert (ready.container, ready.avatar) == (start.container, start.avatar or "red")

    @precondition(lambda self: self.client and not self.model)
    @rule(start=st.sampled_from([SessionStart(avatar="nobody"), SessionStart(preset="warp")]))
    def start_with_unknown_names(self, start: SessionStart) -> None:
        found, close = self.run(self.receive_until_close(start))
        code = "unknown_avatar" if start.avatar else "unknown_preset"
        assert [each.type for each in found] == ["error", "session.closing"]
        assert (found[0].code, found[0].fatal, found[1].reason, close) == (code, True, "unknown", 4404)

    @precondition(lambda self: self.client and not self.model)
    @rule(
        message=st.sampled_from(
            [b"\0\0", b"", Interrupt(), UtteranceEnd(), StatsRequest(), AudioAppend(audio="?")]
        )
    )
    def send_too_early(self, message: Message | bytes) -> None:
        self.expect_error(ErrorCode.NOT_STARTED, message)

    @precondition(lambda self: self.model)
    @rule(start=STARTS)
    def start_again(self, start: SessionStart) -> None:
        self.expect_error(ErrorCode.ALREADY_STARTED, start)

    # In any state

    @precondition(lambda self: self.client)
    @rule(text=GARBAGE)
    def send_garbage(self, text: str) -> None:
        self.expect_error(ErrorCode.BAD_MESSAGE, text)

    @precondition(lambda self: self.client)
    @rule(how=st.sampled_from(["end", "vanish", "too big", "too long"]))
    def leave(self, how: str) -> None:
        if how == "vanish":
            self.connected.socket.transport.abort()
            self.run(self.receive_until_close())
        elif how == "end":
            found, close = self.run(self.receive_until_close(SessionEnd()))
            assert (found[-1].type, found[-1].reason, close) == ("session.closing", "ended", 1000)
            assert not [each for each in found if isinstance(each, Error)]
        else:
            size = MAX_MESSAGE_BYTES + 1
            _, close = self.run(self.receive_until_close(bytes(size) if how == "too big" else " " * size))
            assert close == 1009

    # In a session

    @precondition(lambda self: self.model)
    @rule(size=SIZES, filling=st.sampled_from([b"\0", b"\x40", b"\xff", b"\x7f\xc0"]))
    def send_audio(self, size: int, filling: bytes) -> None:
        """0xff and 0x7fc0 give NaN and infinities in float samples; any size may end within a sample."""
        self.check_audio(size, (filling * size)[:size])

    @precondition(lambda self: self.model)
    @rule(size=SIZES)
    def send_audio_as_base64(self, size: int) -> None:
        self.check_audio(size, AudioAppend(audio=base64.b64encode(b"\x20" * size).decode()))

    def check_audio(self, size: int, message: Message | bytes) -> None:
        duration_ms = self.session.add_bytes(size)
        try:
            found = self.run(self.exchange(message))
        except ConnectionClosed:
            assert self.session.errors == MAX_ERRORS
            assert self.run(self.receive_until_close())[1] == 4400
            return
        errors = [each for each in found if isinstance(each, Error)]
        if not errors:
            self.session.received_ms += duration_ms
            assert duration_ms <= 1000 * MAX_BUFFERED + 1
            return
        assert [(each.code, each.fatal) for each in errors] == [("buffer_full", False)]
        # The buffer can only be full of audio that was received and not sent.
        assert (
            self.session.received_ms - self.session.position_ms + duration_ms > 1000 * MAX_BUFFERED - 1
            or self.session.has_losses
        )
        self.session.has_losses = True
        self.session.errors += 1

    @precondition(lambda self: self.model)
    @rule(ms=st.integers(200, 900), ends=st.booleans(), chunks=st.integers(3, 8))
    def converse(self, ms: int, ends: bool, chunks: int) -> None:
        """Send enough audio to be shown, and receive some of it."""
        size = self.session.start.audio.rate * ms // 1000 * self.session.start.audio.sample_bytes
        self.check_audio(size, b"\x40" * size)
        if ends and self.model is not None:
            self.end_utterance()
        if self.model is not None:
            self.receive_media(chunks)

    @precondition(lambda self: self.model)
    @rule(audio=st.sampled_from(["?", "AAA", "A=AA", "AA AA", "ÄÄÄÄ"]))
    def send_invalid_base64(self, audio: str) -> None:
        self.expect_error(ErrorCode.BAD_AUDIO, AudioAppend(audio=audio))

    @precondition(lambda self: self.model)
    @rule()
    def end_utterance(self) -> None:
        incomplete, self.session.incomplete_bytes = self.session.incomplete_bytes, 0
        if incomplete:
            self.expect_error(ErrorCode.BAD_AUDIO, UtteranceEnd())
        else:
            self.expect_no_error(UtteranceEnd())

    @precondition(lambda self: self.model)
    @rule()
    def interrupt(self) -> None:
        self.session.incomplete_bytes = 0
        found = self.expect_no_error(Interrupt())
        ended = [each for each in found if isinstance(each, UtteranceEnded) and each.interrupted]
        assert ended
        assert len(ended) == 1 or None not in [each.utterance for each in ended]
        assert self.session.shown_utterance == 0

    @precondition(lambda self: self.model)
    @rule()
    def request_stats(self) -> None:
        assert [each for each in self.expect_no_error(StatsRequest()) if isinstance(each, Stats)]

    @precondition(lambda self: self.model)
    @rule(chunks=st.integers(1, 12))
    def receive_media(self, chunks: int) -> None:
        """Receive media for some time."""
        until = self.session.frames + 2 * chunks

        async def receive() -> None:
            while self.session.frames < until or self.session.samples < 1920 * self.session.frames:
                self.session.check(await self.connected.next())

        self.run(receive())

    def teardown(self) -> None:
        """A session that is left alone becomes idle, and has shown all audio that was not dropped."""
        if self.model is not None and not self.model.has_losses:
            self.expect_no_error(*([] if self.model.incomplete_bytes else [UtteranceEnd()]))
            self.run(self.become_idle())
        if self.client is not None:
            self.run(self.receive_until_close(SessionEnd()))

    async def become_idle(self) -> None:
        while True:
            found = await self.exchange(StatsRequest())
            stats = [each for each in found if isinstance(each, Stats)]
            if stats[-1].state == "idle":
                break
            await asyncio.sleep(0.1)
        assert (
            abs(self.session.position_ms - self.session.received_ms)
            <= 0.2 * self.session.ended_utterances + 0.01
        )


def test_protocol_answers_any_client_as_documented_and_leaves_nothing_behind() -> None:
    with asyncio.Runner() as runner:
        server = running(StubEngine(side=16), SETTINGS)
        address = runner.run(server.__aenter__())
        tasks = runner.run(count_idle_tasks())
        chosen = settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(lambda: ProtocolFuzz(runner, address), settings=chosen)
            runner.run(check_nothing_is_left(address, tasks))
            runner.run(check_a_session_works(address))
        finally:
            runner.run(server.__aexit__(None, None, None))


async def count_idle_tasks() -> int:
    await asyncio.sleep(0.2)
    return len(asyncio.all_tasks())


async def check_nothing_is_left(address: str, tasks: int) -> None:
    async with asyncio.timeout(60):
        while '"sessions":0' not in (answer := await get(address, "/readyz"))[2]:
            await asyncio.sleep(0.05)
    assert answer[0] == 200
    await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def check_a_session_works(address: str) -> None:
    async with connected(address, SessionStart(container="rgb")) as client:
        await client.send(tone(0.4))
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 400
        await client.send(SessionEnd())
        assert await client.to_the_end() == 1000
