"""A client that does anything in any order, right and wrong, and a server that must answer as server/README.md says.

After every step a ping is sent, and all that comes before its pong is held against the model: what was answered, and whether the
media goes on without a gap and shows what the events said.
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
from stream_model import Expected
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from lipstream_server.config.settings import ServerSettings
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
from lipstream_server.sessions.conversation import ConversationSettings
from lipstream_server.sessions.window_planner import WindowSettings

T = TypeVar("T")
MISTAKES = 8
BACKLOG = 2.0
# Nobody is sent away for being slow, however slow the machine is.
SETTINGS = ServerSettings(
    sessions=4,
    hello_seconds=1000,
    idle_seconds=1000,
    send_seconds=1000,
    errors=MISTAKES,
    talk=ConversationSettings(backlog=BACKLOG),
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


class Fuzz(RuleBasedStateMachine):
    """One connection after the other, on one server."""

    def __init__(self, runner: asyncio.Runner, address: str) -> None:
        super().__init__()
        self.runner, self.address = runner, address
        self.client: Client | None = None
        self.model: Expected | None = None
        self.early = 0  # mistakes before the start
        self.pings = 0

    def do(self, work: Awaitable[T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(120):
                return await work

        return self.runner.run(bounded())

    async def answers(self, *messages: Message | bytes | str) -> list[Any]:
        """Send, and all that comes until the server has read it."""
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
                self.model.take(message)
            if not isinstance(message, bytes):
                found.append(message)

    async def farewell(self, *messages: Message | bytes | str) -> tuple[list[Any], int | None]:
        """Send what ends the connection; what comes, and the close code."""
        client = self.connected
        found: list[Any] = []
        try:
            for message in messages:
                await client.send(message)
            while True:
                message = await client.next()
                if self.model is not None:
                    self.model.take(message)
                if not isinstance(message, bytes):
                    found.append(message)
        except ConnectionClosed:
            await client.socket.wait_closed()
        self.client = self.model = None
        self.early = 0
        return found, client.socket.close_code

    @property
    def connected(self) -> Client:
        assert self.client is not None
        return self.client

    @property
    def session(self) -> Expected:
        assert self.model is not None
        return self.model

    def mistake(self, code: ErrorCode, *messages: Message | bytes | str) -> None:
        """Is answered by one error, or by the end when it is one too many."""
        self.early += self.model is None
        if self.model is not None:
            self.model.mistakes += 1
        if (self.model.mistakes if self.model else self.early) > MISTAKES:
            found, close = self.do(self.farewell(*messages))
            assert close == 4400
            assert [each.code for each in found if isinstance(each, Error) and each.fatal] == [
                "too_many_errors"
            ]
            assert (found[-1].type, found[-1].reason) == ("session.closing", "protocol")
            return
        errors = [each for each in self.do(self.answers(*messages)) if isinstance(each, Error)]
        assert [(each.code, each.fatal) for each in errors] == [(code, False)]
        assert errors[0].message

    def harmless(self, *messages: Message | bytes | str) -> list[Any]:
        found = self.do(self.answers(*messages))
        assert not [each for each in found if isinstance(each, Error | SessionClosing)], found
        return found

    # Before and around a session

    @initialize(start=STARTS | st.none())
    def first(self, start: SessionStart | None) -> None:
        self.connect(start)

    @precondition(lambda self: self.client is None)
    @rule(start=STARTS | st.none())
    def connect(self, start: SessionStart | None) -> None:
        socket = self.do(connect(f"ws://{self.address}{PATH}", max_size=None, compression=None))
        self.client = Client(socket)
        if start is not None:
            self.start(start)

    @precondition(lambda self: self.client and not self.model)
    @rule(start=STARTS)
    def start(self, start: SessionStart) -> None:
        self.model = Expected(start, BACKLOG)
        (ready,) = [each for each in self.harmless(start) if isinstance(each, SessionReady)]
        assert (ready.container, ready.avatar) == (start.container, start.avatar or "red")

    @precondition(lambda self: self.client and not self.model)
    @rule(start=st.sampled_from([SessionStart(avatar="nobody"), SessionStart(preset="warp")]))
    def start_what_is_not_there(self, start: SessionStart) -> None:
        found, close = self.do(self.farewell(start))
        code = "unknown_avatar" if start.avatar else "unknown_preset"
        assert [each.type for each in found] == ["error", "session.closing"]
        assert (found[0].code, found[0].fatal, found[1].reason, close) == (code, True, "unknown", 4404)

    @precondition(lambda self: self.client and not self.model)
    @rule(
        early=st.sampled_from(
            [b"\0\0", b"", Interrupt(), UtteranceEnd(), StatsRequest(), AudioAppend(audio="?")]
        )
    )
    def too_early(self, early: Message | bytes) -> None:
        self.mistake(ErrorCode.NOT_STARTED, early)

    @precondition(lambda self: self.model)
    @rule(start=STARTS)
    def start_again(self, start: SessionStart) -> None:
        self.mistake(ErrorCode.ALREADY_STARTED, start)

    # Whatever the state

    @precondition(lambda self: self.client)
    @rule(text=GARBAGE)
    def garbage(self, text: str) -> None:
        self.mistake(ErrorCode.BAD_MESSAGE, text)

    @precondition(lambda self: self.client)
    @rule(how=st.sampled_from(["end", "vanish", "too big", "too long"]))
    def leave(self, how: str) -> None:
        if how == "vanish":
            self.connected.socket.transport.abort()
            self.do(self.farewell())
        elif how == "end":
            found, close = self.do(self.farewell(SessionEnd()))
            assert (found[-1].type, found[-1].reason, close) == ("session.closing", "ended", 1000)
            assert not [each for each in found if isinstance(each, Error)]
        else:
            size = MAX_MESSAGE_BYTES + 1
            _, close = self.do(self.farewell(bytes(size) if how == "too big" else " " * size))
            assert close == 1009

    # In a session

    @precondition(lambda self: self.model)
    @rule(size=SIZES, filling=st.sampled_from([b"\0", b"\x40", b"\xff", b"\x7f\xc0"]))
    def speak(self, size: int, filling: bytes) -> None:
        """0xff and 0x7fc0 hold NaN and infinities where samples are floats; any size may end within a sample."""
        self.hear(size, (filling * size)[:size])

    @precondition(lambda self: self.model)
    @rule(size=SIZES)
    def speak_in_base64(self, size: int) -> None:
        self.hear(size, AudioAppend(audio=base64.b64encode(b"\x20" * size).decode()))

    def hear(self, size: int, message: Message | bytes) -> None:
        lasts = self.session.audio(size)
        try:
            found = self.do(self.answers(message))
        except ConnectionClosed:
            assert self.session.mistakes == MISTAKES
            assert self.do(self.farewell())[1] == 4400
            return
        errors = [each for each in found if isinstance(each, Error)]
        if not errors:
            self.session.heard_ms += lasts
            assert lasts <= 1000 * BACKLOG + 1
            return
        assert [(each.code, each.fatal) for each in errors] == [("buffer_full", False)]
        # It can only be full where more has been heard and not yet shown.
        assert (
            self.session.heard_ms - self.session.position_ms + lasts > 1000 * BACKLOG - 1
            or self.session.losses
        )
        self.session.losses = True
        self.session.mistakes += 1

    @precondition(lambda self: self.model)
    @rule(ms=st.integers(200, 900), ends=st.booleans(), bursts=st.integers(3, 8))
    def converse(self, ms: int, ends: bool, bursts: int) -> None:
        """Enough to be shown, and the time to see some of it."""
        size = self.session.start.audio.rate * ms // 1000 * self.session.start.audio.sample_bytes
        self.hear(size, b"\x40" * size)
        if ends and self.model is not None:
            self.end_utterance()
        if self.model is not None:
            self.watch(bursts)

    @precondition(lambda self: self.model)
    @rule(audio=st.sampled_from(["?", "AAA", "A=AA", "AA AA", "ÄÄÄÄ"]))
    def no_base64(self, audio: str) -> None:
        self.mistake(ErrorCode.BAD_AUDIO, AudioAppend(audio=audio))

    @precondition(lambda self: self.model)
    @rule()
    def end_utterance(self) -> None:
        rest, self.session.rest = self.session.rest, 0
        if rest:
            self.mistake(ErrorCode.BAD_AUDIO, UtteranceEnd())
        else:
            self.harmless(UtteranceEnd())

    @precondition(lambda self: self.model)
    @rule()
    def interrupt(self) -> None:
        self.session.rest = 0
        found = self.harmless(Interrupt())
        ended = [each for each in found if isinstance(each, UtteranceEnded) and each.interrupted]
        assert ended
        assert len(ended) == 1 or None not in [each.utterance for each in ended]
        assert self.session.showing == 0

    @precondition(lambda self: self.model)
    @rule()
    def ask_stats(self) -> None:
        assert [each for each in self.harmless(StatsRequest()) if isinstance(each, Stats)]

    @precondition(lambda self: self.model)
    @rule(bursts=st.integers(1, 12))
    def watch(self, bursts: int) -> None:
        """Let media time pass."""
        until = self.session.pictures + 2 * bursts

        async def look() -> None:
            while self.session.pictures < until or self.session.samples < 1920 * self.session.pictures:
                self.session.take(await self.connected.next())

        self.do(look())

    def teardown(self) -> None:
        """A session that is left alone comes to rest, having shown all that it was given and nothing has dropped."""
        if self.model is not None and not self.model.losses:
            self.harmless(*([] if self.model.rest else [UtteranceEnd()]))
            self.do(self.come_to_rest())
        if self.client is not None:
            self.do(self.farewell(SessionEnd()))

    async def come_to_rest(self) -> None:
        while True:
            found = await self.answers(StatsRequest())
            stats = [each for each in found if isinstance(each, Stats)]
            if stats[-1].state == "idle":
                break
            await asyncio.sleep(0.1)
        assert abs(self.session.position_ms - self.session.heard_ms) <= 0.2 * self.session.ended + 0.01


def test_any_client_is_answered_as_documented_and_leaves_nothing_behind() -> None:
    with asyncio.Runner() as runner:
        server = running(StubEngine(side=16), SETTINGS)
        address = runner.run(server.__aenter__())
        tasks = runner.run(settle())
        chosen = settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(lambda: Fuzz(runner, address), settings=chosen)
            runner.run(nothing_is_left(address, tasks))
            runner.run(a_session_works(address))
        finally:
            runner.run(server.__aexit__(None, None, None))


async def settle() -> int:
    await asyncio.sleep(0.2)
    return len(asyncio.all_tasks())


async def nothing_is_left(address: str, tasks: int) -> None:
    async with asyncio.timeout(60):
        while '"sessions":0' not in (answer := await get(address, "/readyz"))[2]:
            await asyncio.sleep(0.05)
    assert answer[0] == 200
    await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def a_session_works(address: str) -> None:
    async with connected(address, SessionStart(container="rgb")) as client:
        await client.send(tone(0.4))
        await client.send(UtteranceEnd())
        assert (await client.until(UtteranceEnded)).position_ms == 400
        await client.send(SessionEnd())
        assert await client.to_the_end() == 1000
