"""Conversation with a stub engine on a virtual clock: windows take time, and all media is recorded."""

import numpy as np

from lipstream_server.config.settings import ConversationSettings, WindowSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.scheduling.batches import WindowJob
from lipstream_server.sessions.conversation import Conversation
from lipstream_server.sessions.playout import MediaChunk
from lipstream_server.sessions.window_planner import WindowPlanner

RATE, FPS, CHUNK_FRAMES = 16_000, 25, 2
SAMPLES_PER_FRAME = 48_000 // FPS


class VirtualConversation:
    """A conversation, its engine, the virtual time and the chunks that were sent.

    Attributes:
        cost: Seconds that a window takes; may change at any time.
        chunks: All chunks, of CHUNK_FRAMES frames each.
    """

    def __init__(
        self,
        cost: float = 0.0,
        windows: WindowSettings | None = None,
        settings: ConversationSettings | None = None,
    ) -> None:
        self.engine = StubEngine(side=16)
        self.cost, self.now = cost, 0.0
        planner = WindowPlanner(
            windows or WindowSettings(), FPS, self.engine.samples_needed, lambda frames: self.cost
        )
        opened = self.engine.open("red", "exact")
        self.conversation = Conversation(opened, RATE, planner, settings or ConversationSettings(), "alive")
        self.pending: list[tuple[float, WindowJob]] = []
        self.chunks: list[MediaChunk] = []
        self._next_chunk_at = 0.0

    def run(self, seconds: float, level: float = 0.0, chunk_seconds: float = 0.04) -> None:
        """Let time pass; with a level, a microphone sends audio of it meanwhile, in chunks of `chunk_seconds`."""
        end, next_audio_at = self.now + seconds, self.now + chunk_seconds
        while self.now < end - 1e-9:
            self.now = round(self.now + 0.01, 6)
            if level and self.now >= next_audio_at - 1e-9:
                audio = np.full(round(chunk_seconds * RATE), level, np.float32)
                self.conversation.add_audio(audio, self.now)
                next_audio_at += chunk_seconds
            self._step()

    def _step(self) -> None:
        for item in [item for item in self.pending if item[0] <= self.now + 1e-9]:
            self.pending.remove(item)
            self._finish(item[1])
        while (job := self.conversation.next_job(self.now)) is not None:
            if self.cost:
                self.pending.append((self.now + self.cost, job))
            else:
                self._finish(job)
        if self.now >= self._next_chunk_at - 1e-9:
            self.chunks.append(self.conversation.next_chunk(CHUNK_FRAMES, self.now))
            self._next_chunk_at += CHUNK_FRAMES / FPS

    def _finish(self, job: WindowJob) -> None:
        self.conversation.add_result(job, self.engine.generate([job.request])[0], self.now)

    @property
    def events(self) -> list[object]:
        return [event for chunk in self.chunks for event in chunk.events]

    def bars(self) -> np.ndarray:
        """Return the brightness of the stub's loudness bar in each frame: 200 without a bar, more with one."""
        frames = np.stack([frame for chunk in self.chunks for frame in chunk.frames])
        return frames[:, 14, :, 0].mean(1)

    def levels(self) -> np.ndarray:
        """Return the peak level of each frame's audio."""
        samples = np.concatenate([chunk.samples for chunk in self.chunks])
        return np.abs(samples.reshape(-1, SAMPLES_PER_FRAME)).max(1)
