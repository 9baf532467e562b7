"""A conversation on a clock of its own: delay, lateness, interrupts, and a state machine that tries to confuse it."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lipstream_server.engines.stub import StubEngine
from lipstream_server.sessions.conversation import (
    BufferFullError,
    Conversation,
    ConversationSettings,
    MediaChunk,
    WindowJob,
)
from lipstream_server.sessions.window_planner import (
    AudioWindow,
    Planner,
    Progress,
    WindowSettings,
)

RATE, FPS, BURST = 16_000, 25, 2
PER_FRAME = 48_000 // FPS


class World:
    """A talk, a stub engine whose windows take time on a virtual clock, and everything that was given out."""

    def __init__(
        self,
        cost: float = 0.0,
        windows: WindowSettings | None = None,
        talk: ConversationSettings | None = None,
    ) -> None:
        self.engine = StubEngine(side=16)
        self.cost, self.now = cost, 0.0
        planner = Planner(
            windows or WindowSettings(), FPS, self.engine.samples_needed, lambda frames: self.cost
        )
        self.talk = Conversation(
            self.engine.open("red", "exact"), RATE, planner, talk or ConversationSettings(), "alive"
        )
        self.making: list[tuple[float, WindowJob]] = []
        self.bursts: list[MediaChunk] = []
        self._next = 0.0

    def run(self, seconds: float, microphone: float = 0.0, piece: float = 0.04) -> None:
        """Let time pass; microphone: loudness of what is said meanwhile, in pieces of so many seconds."""
        end, heard = self.now + seconds, self.now + piece
        while self.now < end - 1e-9:
            self.now = round(self.now + 0.01, 6)
            if microphone and self.now >= heard - 1e-9:
                self.talk.hear(np.full(round(piece * RATE), microphone, np.float32), self.now)
                heard += piece
            self.step()

    def step(self) -> None:
        for item in [item for item in self.making if item[0] <= self.now + 1e-9]:
            self.making.remove(item)
            made = self.engine.generate([item[1].request])[0]
            self.talk.made(item[1], made, self.now)
        while (due := self.talk.due(self.now)) is not None:
            if self.cost:
                self.making.append((self.now + self.cost, due))
            else:
                made = self.engine.generate([due.request])[0]
                self.talk.made(due, made, self.now)
        if self.now >= self._next - 1e-9:
            self.bursts.append(self.talk.burst(BURST, self.now))
            self._next += BURST / FPS

    @property
    def events(self) -> list[object]:
        return [event for burst in self.bursts for event in burst.events]

    def bars(self) -> np.ndarray:
        frames = np.stack([picture for burst in self.bursts for picture in burst.pictures])
        return frames[:, 14, :, 0].mean(1)  # 200 without a bar, more with one

    def loud(self) -> np.ndarray:
        sound = np.concatenate([burst.samples for burst in self.bursts])
        return np.abs(sound.reshape(-1, PER_FRAME)).max(1)


def test_a_microphone_is_shown_after_one_short_window_and_never_late() -> None:
    world = World(cost=0.06)
    world.run(0.4)
    world.run(10.0, microphone=0.5)
    world.talk.end_utterance()
    world.run(2.0)
    counters = world.talk.counters
    assert counters.repeated_frames == counters.underrun_frames == 0
    # 4 frames and 2 of look-ahead must be heard, the first piece at 0, a window takes 60 ms, pieces 40 and bursts 80.
    assert counters.latency is not None
    assert 0.26 <= counters.latency.total <= 0.44
    started, ended = world.events
    assert (started.type, ended.type, ended.position_ms) == ("utterance.started", "utterance.ended", 10_000)
    shown, loud = world.bars() > 201, world.loud() > 0.1
    assert np.array_equal(shown, loud)
    assert shown.sum() == 250
    assert world.talk.state == "idle"
    assert world.talk.backlog == 0


def test_a_sentence_that_comes_at_once_is_made_in_long_windows() -> None:
    world = World(cost=0.1)
    world.talk.hear(np.full(RATE * 4, 0.5, np.float32), 0.0)
    world.talk.end_utterance()
    lengths = []
    generate = world.engine.generate
    world.engine.generate = lambda requests: lengths.append(requests[0].frames) or generate(requests)  # type: ignore[method-assign]
    world.run(6.0)
    assert lengths[0] == 4
    assert lengths[1] == 16
    assert world.talk.counters.repeated_frames == 0
    assert (world.bars() > 201).sum() == 100


def test_a_slow_model_holds_pictures_and_never_sound() -> None:
    """At half of real time half of the pictures are held, the sound runs through, delay does not grow."""
    world = World(cost=0.64, windows=WindowSettings(lengths=(8,)))
    world.run(20.0, microphone=0.5)
    counters = world.talk.counters
    assert counters.underrun_frames == 0
    loud = np.flatnonzero(world.loud() > 0.1)
    assert np.array_equal(loud, np.arange(loud[0], loud[-1] + 1))
    assert counters.latency is not None
    assert world.talk.backlog <= counters.latency.total + 0.1
    assert 0.3 <= counters.repeated_frames / len(loud) <= 0.6


def test_audio_that_stops_is_waited_for_and_then_the_utterance_is_over() -> None:
    world = World()
    world.run(1.0, microphone=0.5)
    world.run(0.5)
    assert world.talk.state == "speaking"
    assert world.talk.counters.underrun_frames > 0
    world.run(1.0)
    assert world.talk.state == "idle"
    assert world.events[-1].type == "utterance.ended"
    assert world.events[-1].position_ms == 1000


@pytest.mark.parametrize("cost", [0.0, 0.2])
def test_after_an_interrupt_comes_nothing_but_idle(cost: float) -> None:
    world = World(cost=cost)
    world.talk.hear(np.full(RATE * 4, 0.5, np.float32), 0.0)
    world.talk.end_utterance()
    world.talk.hear(np.full(RATE, 0.5, np.float32), 0.0)
    world.run(1.5)
    before = len(world.bursts)
    first, second = world.talk.interrupt()
    assert (first.utterance, first.interrupted, second.utterance, second.position_ms) == (1, True, 2, 0)
    assert first.position_ms == world.loud().astype(bool).sum() * 40
    assert first.at_ms == before * BURST * 40
    world.run(2.0)
    assert not world.loud()[before * BURST :].any()
    assert (world.bars()[before * BURST :] == 200).all()
    assert world.talk.interrupt()[0].utterance is None
    world.run(1.0, microphone=0.5)
    assert world.events[-1].utterance == 3


def test_two_utterances_follow_each_other() -> None:
    world = World()
    for _ in range(2):
        world.talk.hear(np.full(RATE // 2, 0.5, np.float32), 0.0)
        world.talk.end_utterance()
    world.run(3.0)
    assert [(event.type, event.utterance) for event in world.events] == [
        ("utterance.started", 1),
        ("utterance.ended", 1),
        ("utterance.started", 2),
        ("utterance.ended", 2),
    ]


def test_the_backlog_is_bounded() -> None:
    world = World(talk=ConversationSettings(backlog=1.0))
    world.talk.hear(np.zeros(RATE, np.float32), 0.0)
    with pytest.raises(BufferFullError, match=r"10.. ms of audio would wait, at most 1000 may"):
        world.talk.hear(np.zeros(640, np.float32), 0.0)
    assert world.talk.backlog <= 1.0


def test_windows_grow_where_short_ones_do_not_keep_up() -> None:
    costs = {4: 0.2, 8: 0.22, 16: 0.3}
    planner = Planner(WindowSettings(), FPS, lambda frames: frames * 640, costs.__getitem__)
    assert planner.steady == 8
    busy = Planner(WindowSettings(), FPS, lambda frames: frames * 640, costs.__getitem__, lambda: 0.1)
    assert busy.steady == 16
    assert planner.next(Progress(0, None, 0, 0, False)) is None
    assert planner.next(Progress(4 * 640, None, 0, 0, False)) == AudioWindow(0, 4)
    assert planner.next(Progress(60 * 640, None, 4, 0, False)) == AudioWindow(4, 16)
    assert planner.next(Progress(60 * 640, None, 40, 2, True)) is None  # far enough ahead
    assert planner.next(Progress(10 * 640, 12, 10, 9, True)) is None  # what is left would come too late
    with pytest.raises(ValueError, match="must be positive and rise"):
        WindowSettings(lengths=(8, 4))


def test_a_window_too_short_to_keep_up_is_asked_for_at_the_last_moment() -> None:
    planner = Planner(
        WindowSettings(), FPS, lambda frames: frames * 640, {4: 0.2, 8: 0.25, 16: 0.4}.__getitem__
    )
    assert planner.steady == 8
    assert (
        planner.next(Progress(8 * 640, None, 4, 0, False)) is None
    )  # nothing is shown: 8 frames are waited for
    assert planner.next(Progress(12 * 640, None, 4, 0, False)) == AudioWindow(4, 8)
    assert planner.next(Progress(24 * 640, None, 20, 13, True)) is None  # 280 ms are left
    assert planner.next(Progress(24 * 640, None, 20, 15, True)) == AudioWindow(20, 4)  # 200 ms
    slow = Planner(WindowSettings(), FPS, lambda frames: frames * 640, {4: 0.5, 8: 0.6, 16: 0.6}.__getitem__)
    assert slow.steady == 16
    assert slow.next(Progress(8 * 640, None, 4, 0, False)) == AudioWindow(
        4, 4
    )  # 16 frames would come too late
    assert slow.next(Progress(12 * 640, None, 4, 0, False)) == AudioWindow(4, 8)


class Confusion(RuleBasedStateMachine):
    """Any commands in any order, at any pace of the model: what goes out stays well formed."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(cost=0.1, talk=ConversationSettings(backlog=3.0))
        self.given = 0.0

    @rule(samples=st.integers(0, 20_000))
    def speak(self, samples: int) -> None:
        try:
            self.world.talk.hear(np.full(samples, 0.5, np.float32), self.world.now)
        except BufferFullError:
            assert self.world.talk.backlog + samples / RATE > 3.0

    @rule()
    def end(self) -> None:
        self.world.talk.end_utterance()

    @rule()
    def interrupt(self) -> None:
        ended = self.world.talk.interrupt()
        assert all(event.interrupted for event in ended)
        assert self.world.talk.state == "idle"
        self.world.bursts.append(MediaChunk([], np.zeros(0, np.float32), 0, list(ended)))

    @rule(cost=st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    def pace(self, cost: float) -> None:
        self.world.cost = cost

    @rule(seconds=st.floats(0.01, 1.5))
    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    @invariant()
    def picture_and_sound_are_equally_long(self) -> None:
        for burst in self.world.bursts[-3:]:
            assert len(burst.samples) == len(burst.pictures) * PER_FRAME

    @invariant()
    def the_backlog_is_bounded(self) -> None:
        assert self.world.talk.backlog <= 3.01

    def teardown(self) -> None:
        """Left alone, it comes to rest, and every utterance that was started has ended, once and in order."""
        self.world.run(14.0)
        assert self.world.talk.state == "idle"
        started = [event.utterance for event in self.world.events if event.type == "utterance.started"]
        ended = [event.utterance for event in self.world.events if event.type == "utterance.ended"]
        assert [number for number in ended if number is not None] == list(
            range(1, self.world.talk._numbers + 1)
        )
        assert started == sorted(set(started))


TestConfusion = Confusion.TestCase
TestConfusion.settings = settings(max_examples=15, stateful_step_count=15, deadline=None, derandomize=True)


def test_idle_passes_softly_into_speech_and_speech_into_idle() -> None:
    world = World(talk=ConversationSettings(fade=4))
    world.run(0.4)
    world.run(1.0, microphone=1.0)
    world.talk.end_utterance()
    world.run(1.0)
    bars = world.bars()
    begin = int(np.flatnonzero(bars > 200)[0])
    assert list(bars[begin - 1 : begin + 6]) == [200, 211, 222, 233, 244, 255, 255]
    # The tail of the utterance is silent, so what is faded there is grey into grey: nothing of the bar is left over.
    assert set(bars[begin + 25 :]) == {200}


def test_an_interrupt_is_a_cut() -> None:
    world = World()
    world.run(1.5, microphone=1.0)
    assert world.bars()[-1] == 255
    world.talk.interrupt()
    shown = len(world.bursts) * BURST
    world.run(0.5)
    assert set(world.bars()[shown:]) == {200}


def test_first_frame_latency_is_the_sum_of_its_parts() -> None:
    world = World(cost=0.06)
    world.run(0.4)
    world.run(2.0, microphone=0.5)
    world.talk.shown(0.004, 0.002)
    latency = world.talk.counters.latency
    started = world.events[0]
    assert latency is not None
    # The stub does no work of its own, so all that its window takes counts as waiting for the device.
    assert latency.buffering == pytest.approx(
        0.24 - 0.04, abs=0.02
    )  # six frames, counted from the end of the first piece
    assert latency.queueing == pytest.approx(0.06, abs=0.011)
    assert 1000 * (latency.total - 0.006) == pytest.approx(started.latency_ms, abs=0.1)
    assert sum(vars(latency.to_message()).values()) == pytest.approx(1000 * latency.total, abs=0.01)
