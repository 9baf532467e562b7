"""Nothing is lost and nothing is made up: a conversation at 48 kHz whose samples are numbered, on a clock of its own.

What is heard is numbered from 1 (as n / 2^22, which a float32 holds exactly), so that every sample that goes out says which it is;
0 is silence. At this rate nothing is resampled on the way out.
"""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lipstream_server.engines.stub import StubEngine
from lipstream_server.protocol import UtteranceEnded, UtteranceStarted
from lipstream_server.sessions.conversation import (
    BufferFullError,
    Conversation,
    ConversationSettings,
    MediaChunk,
    WindowJob,
)
from lipstream_server.sessions.window_planner import Planner, WindowSettings

RATE, FPS, PER_FRAME, UNIT = 48_000, 25, 1920, 2.0**-22
SETTINGS = ConversationSettings(max_buffered_seconds=4.0, silence_timeout_seconds=0.6)
WINDOWS = WindowSettings(lengths=(4, 8))


class Conservation(RuleBasedStateMachine):
    """Time passes in bursts of one or two frames, windows take any time, and the samples are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = StubEngine(side=8)
        self.cost, self.now = 0.0, 0.0
        planner = Planner(WINDOWS, FPS, self.engine.samples_needed, lambda frames: self.cost)
        self.talk = Conversation(self.engine.open("red", "exact"), RATE, planner, SETTINGS, "alive")
        self.making: list[tuple[float, WindowJob]] = []
        self.heard = 0  # samples
        self.next = 1  # the number of the sample that must go out next
        self.frames = self.starved = 0
        self.began: tuple[int, int, int] | None = (
            None  # frame, starved frames and sample at an utterance's start
        )

    @rule(samples=st.integers(1, 1920) | st.integers(1, 60_000))
    def speak(self, samples: int) -> None:
        numbered = (np.arange(self.heard + 1, self.heard + 1 + samples) * UNIT).astype(np.float32)
        try:
            self.talk.hear(numbered, self.now)
        except BufferFullError:
            assert self.talk.backlog + samples / RATE > SETTINGS.max_buffered_seconds
        else:
            self.heard += samples

    @rule(pieces=st.integers(1, 25))
    def speak_into_a_microphone(self, pieces: int) -> None:
        """In real time the backlog of an utterance that is shown does not grow, however slow the model is."""
        for _ in range(pieces):
            shown, before = self.shown, self.talk.backlog
            self.speak(PER_FRAME)
            starved = self.talk.counters.underrun_frames
            self.watch(1)
            waited = (self.talk.counters.underrun_frames - starved) / FPS
            if shown is not None and self.shown == shown:
                assert self.talk.backlog <= before + waited + 1e-9

    @property
    def shown(self) -> int | None:
        """The utterance that is shown and open, if it is the only one."""
        queue = self.talk._queue
        return queue[0].number if len(queue) == 1 and queue[0].showing and not queue[0].ended else None

    @rule()
    def end(self) -> None:
        self.talk.end_utterance()

    @rule()
    def interrupt(self) -> None:
        """All that has been heard and not sent is gone, and nothing else."""
        ended = self.talk.interrupt()
        assert all(event.interrupted and event.at_ms == self.frames * 40 for event in ended)
        self.next, self.began = self.heard + 1, None

    @rule()
    def lose_what_is_made(self) -> None:
        """The engine failed: nothing comes of these windows, and what they heard is heard again, as the engine checks."""
        for _, due in self.making:
            self.talk.lost(due)
        self.making.clear()

    @rule(cost=st.sampled_from([0.0, 0.03, 0.1, 0.4, 1.5]))
    def pace(self, cost: float) -> None:
        self.cost = cost

    @rule(bursts=st.integers(1, 30))
    def wait(self, bursts: int) -> None:
        for number in range(bursts):
            self.watch(1 + number % 2)

    def watch(self, count: int) -> None:
        self.make()
        burst = self.talk.burst(count, self.now)
        assert [picture.shape for picture in burst.pictures] == [(8, 8, 3)] * count
        assert burst.samples.shape == (count * PER_FRAME,)
        assert burst.samples.dtype == np.float32
        for event in burst.events:
            self.told(event)
        self.starved = self.talk.counters.underrun_frames
        self.listen(burst)
        self.frames += count
        self.now += count / FPS

    def make(self) -> None:
        for item in [item for item in self.making if item[0] <= self.now]:
            self.making.remove(item)
            made = self.engine.generate([item[1].request])[0]
            self.talk.made(item[1], made, self.now)
        while (due := self.talk.due(self.now)) is not None:
            if self.cost:
                self.making.append((self.now + self.cost, due))
                return
            made = self.engine.generate([due.request])[0]
            self.talk.made(due, made, self.now)

    def told(self, event: UtteranceStarted | UtteranceEnded) -> None:
        """Late pictures do not make an utterance longer: it has its sound, its tail, and the frames that lacked audio."""
        at = round(event.at_ms / 40)
        if isinstance(event, UtteranceStarted):
            self.began = (at, self.starved)
            return
        assert self.began is not None
        first, starved = self.began
        sound = -(-round(event.position_ms * 48) // PER_FRAME)
        assert at - first - (self.starved - starved) == sound + WINDOWS.closing_frames
        self.began = None

    def listen(self, burst: MediaChunk) -> None:
        numbers = np.rint(burst.samples / UNIT).astype(int)
        said = numbers[numbers > 0]
        assert np.array_equal(said, np.arange(self.next, self.next + len(said)))
        self.next += len(said)

    @invariant()
    def what_was_heard_is_sent_or_waits(self) -> None:
        waiting = round(self.talk.backlog * RATE)
        assert self.next - 1 + waiting == self.heard
        assert waiting <= SETTINGS.max_buffered_seconds * RATE

    @invariant()
    def frames_are_counted_once(self) -> None:
        counters = self.talk.counters
        assert counters.frames == self.frames
        assert self.talk.media_ms == self.frames * 40
        assert counters.idle_frames + counters.repeated_frames + counters.underrun_frames <= self.frames

    def teardown(self) -> None:
        """Left alone it says all that it has heard."""
        self.cost = 0.1
        self.wait(130)
        assert self.talk.state == "idle"
        assert self.next == self.heard + 1


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=15, stateful_step_count=20, deadline=None, derandomize=True)
