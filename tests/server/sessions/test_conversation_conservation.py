"""Conservation of audio: a conversation at 48 kHz with numbered samples loses none and invents none.

Sample n is n / 2^22, which a float32 holds exactly, so that each sample that is sent says which one it is; 0 is silence. At this
rate output is not resampled.
"""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lipstream_server.config.settings import ConversationSettings, WindowSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.protocol import UtteranceEnded, UtteranceStarted
from lipstream_server.scheduling.batches import WindowJob
from lipstream_server.sessions.conversation import BufferFullError, Conversation
from lipstream_server.sessions.playout import MediaChunk
from lipstream_server.sessions.window_planner import WindowPlanner

RATE, FPS, SAMPLES_PER_FRAME, UNIT = 48_000, 25, 1920, 2.0**-22
SETTINGS = ConversationSettings(max_buffered_seconds=4.0, silence_timeout_seconds=0.6)
WINDOWS = WindowSettings(lengths=(4, 8))


class Conservation(RuleBasedStateMachine):
    """Time passes in chunks of one or two frames, windows take any time, and samples are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = StubEngine(side=8)
        self.cost, self.now = 0.0, 0.0
        planner = WindowPlanner(WINDOWS, FPS, self.engine.samples_needed, lambda frames: self.cost)
        opened = self.engine.open("red", "exact")
        self.conversation = Conversation(opened, RATE, planner, SETTINGS, "alive")
        self.pending: list[tuple[float, WindowJob]] = []
        self.added = 0  # samples
        self.next_sample = 1  # number of the sample that must be sent next
        self.frames = self.underruns = 0
        self.started: tuple[int, int] | None = None  # frame and underruns at the start of the utterance

    @rule(samples=st.integers(1, 1920) | st.integers(1, 60_000))
    def add_audio(self, samples: int) -> None:
        numbered = (np.arange(self.added + 1, self.added + 1 + samples) * UNIT).astype(np.float32)
        try:
            self.conversation.add_audio(numbered, self.now)
        except BufferFullError:
            assert self.conversation.buffered_seconds + samples / RATE > SETTINGS.max_buffered_seconds
        else:
            self.added += samples

    @rule(chunks=st.integers(1, 25))
    def speak_into_a_microphone(self, chunks: int) -> None:
        """In real time the buffer of an utterance that is shown does not grow, however slow the model is."""
        for _ in range(chunks):
            shown, before = self.shown, self.conversation.buffered_seconds
            self.add_audio(SAMPLES_PER_FRAME)
            underruns = self.conversation.counters.underrun_frames
            self.play(1)
            waited = (self.conversation.counters.underrun_frames - underruns) / FPS
            if shown is not None and self.shown == shown:
                assert self.conversation.buffered_seconds <= before + waited + 1e-9

    @property
    def shown(self) -> int | None:
        """Number of the utterance that is shown and open, if it is the only one."""
        queue = self.conversation._utterances
        return queue[0].number if len(queue) == 1 and queue[0].started and not queue[0].ended else None

    @rule()
    def end_utterance(self) -> None:
        self.conversation.end_utterance()

    @rule()
    def interrupt(self) -> None:
        """All audio that was added and not sent is dropped, and no other."""
        ended = self.conversation.interrupt()
        assert all(event.interrupted and event.at_ms == self.frames * 40 for event in ended)
        self.next_sample, self.started = self.added + 1, None

    @rule()
    def lose_the_engine(self) -> None:
        """Pending windows fail, and the next ones bring their audio again, as the engine checks."""
        for _, job in self.pending:
            self.conversation.cancel_job(job)
        self.pending.clear()

    @rule(cost=st.sampled_from([0.0, 0.03, 0.1, 0.4, 1.5]))
    def change_cost(self, cost: float) -> None:
        self.cost = cost

    @rule(chunks=st.integers(1, 30))
    def wait(self, chunks: int) -> None:
        for number in range(chunks):
            self.play(1 + number % 2)

    def play(self, count: int) -> None:
        self.generate()
        chunk = self.conversation.next_chunk(count, self.now)
        assert [frame.shape for frame in chunk.frames] == [(8, 8, 3)] * count
        assert chunk.samples.shape == (count * SAMPLES_PER_FRAME,)
        assert chunk.samples.dtype == np.float32
        for event in chunk.events:
            self.check_event(event)
        self.underruns = self.conversation.counters.underrun_frames
        self.check_samples(chunk)
        self.frames += count
        self.now += count / FPS

    def generate(self) -> None:
        for item in [item for item in self.pending if item[0] <= self.now]:
            self.pending.remove(item)
            self.finish(item[1])
        while (job := self.conversation.next_job(self.now)) is not None:
            if self.cost:
                self.pending.append((self.now + self.cost, job))
                return
            self.finish(job)

    def finish(self, job: WindowJob) -> None:
        self.conversation.add_result(job, self.engine.generate([job.request])[0], self.now)

    def check_event(self, event: UtteranceStarted | UtteranceEnded) -> None:
        """An utterance lasts as long as its audio, its closing frames and its underruns; repeated frames add nothing."""
        at = round(event.at_ms / 40)
        if isinstance(event, UtteranceStarted):
            self.started = (at, self.underruns)
            return
        assert self.started is not None
        first, underruns = self.started
        audio_frames = -(-round(event.position_ms * 48) // SAMPLES_PER_FRAME)
        assert at - first - (self.underruns - underruns) == audio_frames + WINDOWS.closing_frames
        self.started = None

    def check_samples(self, chunk: MediaChunk) -> None:
        numbers = np.rint(chunk.samples / UNIT).astype(int)
        sent = numbers[numbers > 0]
        assert np.array_equal(sent, np.arange(self.next_sample, self.next_sample + len(sent)))
        self.next_sample += len(sent)

    @invariant()
    def added_audio_is_sent_or_buffered(self) -> None:
        buffered = round(self.conversation.buffered_seconds * RATE)
        assert self.next_sample - 1 + buffered == self.added
        assert buffered <= SETTINGS.max_buffered_seconds * RATE

    @invariant()
    def frames_are_counted_once(self) -> None:
        counters = self.conversation.counters
        assert counters.frames == self.frames
        assert self.conversation.media_ms == self.frames * 40
        assert counters.idle_frames + counters.repeated_frames + counters.underrun_frames <= self.frames

    def teardown(self) -> None:
        """Left alone, it sends all audio."""
        self.cost = 0.1
        self.wait(130)
        assert self.conversation.state == "idle"
        assert self.next_sample == self.added + 1


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=15, stateful_step_count=20, deadline=None, derandomize=True)
