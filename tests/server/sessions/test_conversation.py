"""Conversation on a virtual clock: latency, repeated frames, interrupts, and any commands in any order."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from virtual_conversation import CHUNK_FRAMES, RATE, SAMPLES_PER_FRAME, VirtualConversation

from lipstream_server.config.live_settings import ConversationSettings, WindowSettings
from lipstream_server.sessions.conversation import BufferFullError
from lipstream_server.sessions.playout import MediaChunk


def test_microphone_audio_is_shown_after_one_short_window_without_repeated_frames() -> None:
    world = VirtualConversation(cost=0.06)
    world.run(0.4)
    world.run(10.0, level=0.5)
    world.conversation.end_utterance()
    world.run(2.0)
    counters = world.conversation.counters
    assert counters.repeated_frames == counters.underrun_frames == 0
    # Audio of 4 frames and 2 of lookahead must arrive, the first at 0; a window takes 60 ms, audio chunks 40, media 80.
    assert counters.latency is not None
    assert 0.26 <= counters.latency.total <= 0.44
    started, ended = world.events
    assert (started.type, ended.type, ended.position_ms) == ("utterance.started", "utterance.ended", 10_000)
    shown, loud = world.bars() > 201, world.levels() > 0.1
    assert np.array_equal(shown, loud)
    assert shown.sum() == 250
    assert world.conversation.state == "idle"
    assert world.conversation.buffered_seconds == 0


def test_audio_that_arrives_at_once_is_generated_in_long_windows() -> None:
    world = VirtualConversation(cost=0.1)
    world.conversation.add_audio(np.full(RATE * 4, 0.5, np.float32), 0.0)
    world.conversation.end_utterance()
    lengths = []
    generate = world.engine.generate
    world.engine.generate = lambda requests: lengths.append(requests[0].frames) or generate(requests)  # type: ignore[method-assign]
    world.run(6.0)
    assert lengths[0] == 4
    assert lengths[1] == 16
    assert world.conversation.counters.repeated_frames == 0
    assert (world.bars() > 201).sum() == 100


def test_slow_model_repeats_frames_but_never_interrupts_audio() -> None:
    """At half of real time half of the frames are repeated, audio runs through, latency does not grow."""
    world = VirtualConversation(cost=0.64, windows=WindowSettings(lengths=(8,)))
    world.run(20.0, level=0.5)
    counters = world.conversation.counters
    assert counters.underrun_frames == 0
    loud = np.flatnonzero(world.levels() > 0.1)
    assert np.array_equal(loud, np.arange(loud[0], loud[-1] + 1))
    assert counters.latency is not None
    assert world.conversation.buffered_seconds <= counters.latency.total + 0.1
    assert 0.3 <= counters.repeated_frames / len(loud) <= 0.6


def test_utterance_ends_after_the_silence_timeout() -> None:
    world = VirtualConversation()
    world.run(1.0, level=0.5)
    world.run(0.5)
    assert world.conversation.state == "speaking"
    assert world.conversation.counters.underrun_frames > 0
    world.run(1.0)
    assert world.conversation.state == "idle"
    assert world.events[-1].type == "utterance.ended"
    assert world.events[-1].position_ms == 1000


@pytest.mark.parametrize("cost", [0.0, 0.2])
def test_interrupt_is_followed_by_idle_only(cost: float) -> None:
    world = VirtualConversation(cost=cost)
    world.conversation.add_audio(np.full(RATE * 4, 0.5, np.float32), 0.0)
    world.conversation.end_utterance()
    world.conversation.add_audio(np.full(RATE, 0.5, np.float32), 0.0)
    world.run(1.5)
    before = len(world.chunks)
    first, second = world.conversation.interrupt()
    assert (first.utterance, first.interrupted, second.utterance, second.position_ms) == (1, True, 2, 0)
    assert first.position_ms == world.levels().astype(bool).sum() * 40
    assert first.at_ms == before * CHUNK_FRAMES * 40
    world.run(2.0)
    assert not world.levels()[before * CHUNK_FRAMES :].any()
    assert (world.bars()[before * CHUNK_FRAMES :] == 200).all()
    assert world.conversation.interrupt()[0].utterance is None
    world.run(1.0, level=0.5)
    assert world.events[-1].utterance == 3


def test_utterances_follow_each_other_in_order() -> None:
    world = VirtualConversation()
    for _ in range(2):
        world.conversation.add_audio(np.full(RATE // 2, 0.5, np.float32), 0.0)
        world.conversation.end_utterance()
    world.run(3.0)
    assert [(event.type, event.utterance) for event in world.events] == [
        ("utterance.started", 1),
        ("utterance.ended", 1),
        ("utterance.started", 2),
        ("utterance.ended", 2),
    ]


def test_buffered_audio_is_bounded() -> None:
    world = VirtualConversation(settings=ConversationSettings(max_buffered_seconds=1.0))
    world.conversation.add_audio(np.zeros(RATE, np.float32), 0.0)
    with pytest.raises(BufferFullError, match=r"10.. ms of audio would be buffered, the limit is 1000 ms"):
        world.conversation.add_audio(np.zeros(640, np.float32), 0.0)
    assert world.conversation.buffered_seconds <= 1.0


class AnyCommands(RuleBasedStateMachine):
    """Any commands in any order, with a model of any speed: the output stays well formed."""

    def __init__(self) -> None:
        super().__init__()
        self.world = VirtualConversation(cost=0.1, settings=ConversationSettings(max_buffered_seconds=3.0))

    @rule(samples=st.integers(0, 20_000))
    def add_audio(self, samples: int) -> None:
        try:
            self.world.conversation.add_audio(np.full(samples, 0.5, np.float32), self.world.now)
        except BufferFullError:
            assert self.world.conversation.buffered_seconds + samples / RATE > 3.0

    @rule()
    def end_utterance(self) -> None:
        self.world.conversation.end_utterance()

    @rule()
    def interrupt(self) -> None:
        ended = self.world.conversation.interrupt()
        assert all(event.interrupted for event in ended)
        assert self.world.conversation.state == "idle"
        self.world.chunks.append(MediaChunk(events=list(ended)))

    @rule(cost=st.sampled_from([0.0, 0.05, 0.3, 1.0]))
    def change_cost(self, cost: float) -> None:
        self.world.cost = cost

    @rule(seconds=st.floats(0.01, 1.5))
    def wait(self, seconds: float) -> None:
        self.world.run(seconds)

    @invariant()
    def audio_and_video_are_equally_long(self) -> None:
        for chunk in self.world.chunks[-3:]:
            assert len(chunk.samples) == len(chunk.frames) * SAMPLES_PER_FRAME

    @invariant()
    def buffered_audio_is_bounded(self) -> None:
        assert self.world.conversation.buffered_seconds <= 3.01

    def teardown(self) -> None:
        """Left alone, it becomes idle, and all utterances have ended, once and in order."""
        self.world.run(14.0)
        assert self.world.conversation.state == "idle"
        started = [event.utterance for event in self.world.events if event.type == "utterance.started"]
        ended = [event.utterance for event in self.world.events if event.type == "utterance.ended"]
        count = self.world.conversation._utterance_count
        assert [number for number in ended if number is not None] == list(range(1, count + 1))
        assert started == sorted(set(started))


TestAnyCommands = AnyCommands.TestCase
TestAnyCommands.settings = settings(max_examples=15, stateful_step_count=15, deadline=None, derandomize=True)


def test_idle_and_speech_fade_into_each_other() -> None:
    world = VirtualConversation(settings=ConversationSettings(crossfade_frames=4))
    world.run(0.4)
    world.run(1.0, level=1.0)
    world.conversation.end_utterance()
    world.run(1.0)
    bars = world.bars()
    begin = int(np.flatnonzero(bars > 200)[0])
    assert list(bars[begin - 1 : begin + 6]) == [200, 211, 222, 233, 244, 255, 255]
    # The closing frames are silent, so the fade to idle is grey into grey: nothing of the bar is left.
    assert set(bars[begin + 25 :]) == {200}


def test_interrupt_cuts_without_a_fade() -> None:
    world = VirtualConversation()
    world.run(1.5, level=1.0)
    assert world.bars()[-1] == 255
    world.conversation.interrupt()
    shown = len(world.chunks) * CHUNK_FRAMES
    world.run(0.5)
    assert set(world.bars()[shown:]) == {200}


def test_first_frame_latency_is_the_sum_of_its_parts() -> None:
    world = VirtualConversation(cost=0.06)
    world.run(0.4)
    world.run(2.0, level=0.5)
    world.conversation.record_first_frame_sent(0.004, 0.002)
    latency = world.conversation.counters.latency
    started = world.events[0]
    assert latency is not None
    # Six frames of audio, counted from the end of the first chunk.
    assert latency.buffering == pytest.approx(0.24 - 0.04, abs=0.02)
    # The stub reports no stages, so that the whole duration of its window counts as queueing.
    assert latency.queueing == pytest.approx(0.06, abs=0.011)
    assert 1000 * (latency.total - 0.006) == pytest.approx(started.latency_ms, abs=0.1)
    assert sum(vars(latency.to_message()).values()) == pytest.approx(1000 * latency.total, abs=0.01)
