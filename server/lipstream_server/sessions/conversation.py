"""State machine of a session: audio and commands in, window jobs and chunks of media out. No sockets, threads or clock.

    idle --audio--> speaking --utterance.end, or silence timeout--> draining --all frames sent--> idle
    any --interrupt--> idle

During an utterance audio never waits for frames. A frame that is not ready when it is due is replaced by the last one
(`repeated_frames`) and not generated any more. Only missing audio holds an utterance up (`underrun_frames`), and ends it after
the silence timeout. So latency does not grow, and audio and video cannot drift: there is one counter, of frames, and every
frame has exactly its samples.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from ..config.settings import ConversationSettings
from ..engines.base import OpenedStream, WindowRequest, WindowResult
from ..media.arrays import Samples
from ..protocol import UtteranceEnded, UtteranceStarted
from ..scheduling.batches import WindowJob
from .latency import FirstFrameLatency
from .playout import MediaChunk, Playout
from .utterance import Utterance
from .window_planner import WindowPlanner

State = Literal["idle", "speaking", "draining"]


class BufferFullError(ValueError):
    """The client sent more audio than may be buffered."""


@dataclass
class Counters:
    """Frames that a session has sent, in total and by kind, and the latency of its last utterance."""

    frames: int = 0
    idle_frames: int = 0
    repeated_frames: int = 0
    underrun_frames: int = 0
    latency: FirstFrameLatency | None = None


class Conversation:
    """Utterances of one session; times are seconds of one clock, given by the caller.

    Args:
        opened: Stream at its start, and idle frames.
        sample_rate: Sample rate of the client's audio in Hz.
        planner: Cuts utterances into windows.
        settings: Limits.
        idle: Whether idle frames are animated.
    """

    def __init__(
        self,
        opened: OpenedStream,
        sample_rate: int,
        planner: WindowPlanner,
        settings: ConversationSettings,
        idle: Literal["alive", "still"],
    ) -> None:
        self.counters = Counters()
        self._stream, self._sample_rate = opened.stream, sample_rate
        self._planner, self._settings = planner, settings
        idle_frames = opened.idle if idle == "alive" else opened.idle[:1]
        self._playout = Playout(idle_frames, planner.fps, settings.crossfade_frames)
        self._utterances: deque[Utterance] = deque()
        self._utterance_count = 0
        self._pending: Utterance | None = None  # whose window is being generated

    @property
    def state(self) -> State:
        """State of the conversation."""
        if not self._utterances:
            return "idle"
        return "draining" if all(utterance.ended for utterance in self._utterances) else "speaking"

    @property
    def awaits_first_frame(self) -> bool:
        """Whether an utterance waits for its first frame."""
        return bool(self._utterances) and not self._utterances[0].started

    @property
    def buffered_seconds(self) -> float:
        """Seconds of audio that were received and not sent."""
        return sum(utterance.buffered_seconds for utterance in self._utterances)

    @property
    def media_ms(self) -> float:
        """Media time in milliseconds of the end of the last chunk."""
        return 1000 * self.counters.frames / self._planner.fps

    def add_audio(self, samples: Samples, now: float) -> None:
        """Append audio (N,), mono at the client's rate; it starts an utterance where none is open.

        Raises:
            BufferFullError: More audio would be buffered than the limit; nothing is added.
        """
        if not len(samples):
            return
        buffered = self.buffered_seconds + len(samples) / self._sample_rate
        if buffered > self._settings.max_buffered_seconds:
            raise BufferFullError(
                f"the message was dropped: {buffered * 1000:.0f} ms of audio would be buffered, "
                f"the limit is {self._settings.max_buffered_seconds * 1000:.0f} ms; send audio at real-time pace"
            )
        if not self._utterances or self._utterances[-1].ended:
            self._utterance_count += 1
            self._utterances.append(
                Utterance(
                    self._utterance_count,
                    self._sample_rate,
                    self._planner.fps,
                    self._planner.settings.closing_frames,
                    self._stream,
                    now,
                )
            )
        self._utterances[-1].add_audio(samples, now)

    def end_utterance(self) -> None:
        """Mark the open utterance, if there is one, as complete."""
        if self._utterances:
            self._utterances[-1].end()

    def interrupt(self) -> list[UtteranceEnded]:
        """Drop all audio and frames that were not sent; return the messages that report it, at least one."""
        dropped = list(self._utterances)
        self._utterances.clear()
        self._pending = None
        self._playout.interrupt()
        return [self._ended(utterance, True) for utterance in dropped] or [
            UtteranceEnded(utterance=None, at_ms=self.media_ms, position_ms=0.0, interrupted=True)
        ]

    def next_job(self, now: float) -> WindowJob | None:
        """Return the window to generate now, if any; at most one is pending at a time."""
        if self._pending is not None:
            return None
        for utterance in self._utterances:
            progress = utterance.progress
            window = self._planner.next_window(progress)
            if window is not None:
                return self._create_job(utterance, window, now)
            if progress.total_frames is None or progress.requested_frames < progress.total_frames:
                return None  # windows of later utterances wait for those of earlier ones
        return None

    def _create_job(self, utterance: Utterance, window: range, now: float) -> WindowJob:
        utterance.requested_frames = window.stop
        self._pending = utterance
        samples, ended = utterance.take_engine_audio(self._planner.samples_needed(window.stop))
        request = WindowRequest(utterance.stream, samples, window.start, len(window), ended)
        ahead = (window.start - utterance.sent_frames) / self._planner.fps if utterance.started else 0.0
        return WindowJob(request, now + ahead, now, utterance.number)

    def add_result(self, job: WindowJob, result: WindowResult, now: float) -> None:
        """Store the result of a window; that of an interrupted utterance is dropped."""
        utterance = self._take_pending(job)
        if utterance is None:
            return
        utterance.stream = result.stream
        utterance.add_frames(job.request.start, result.frames)
        if utterance.playout_at is None:
            arrival = utterance.arrival
            utterance.latency = FirstFrameLatency.of_first_window(
                arrival.first_at, job.requested_at, result, now
            )
            utterance.playout_at = now + self._planner.startup_delay(
                utterance.progress, utterance.ready_frames, arrival.chunk_seconds, now - arrival.last_at
            )

    def cancel_job(self, job: WindowJob) -> None:
        """Return the audio of a window that the engine lost; the next job includes what is still in time."""
        utterance = self._take_pending(job)
        if utterance is not None:
            utterance.requested_frames = job.request.start
            utterance.put_back_engine_audio(job.request.samples)

    def _take_pending(self, job: WindowJob) -> Utterance | None:
        """Return the utterance of a job and clear it; None where an interrupt dropped it."""
        utterance = self._pending
        if utterance is None or utterance.number != job.utterance:
            return None
        self._pending = None
        return utterance

    def record_first_frame_sent(self, encoding: float, sending: float) -> None:
        """Complete the latency of an utterance with the seconds of encoding and sending its first frame."""
        if self.counters.latency is not None:
            self.counters.latency = self.counters.latency.with_sent(encoding, sending)

    def next_chunk(self, count: int, now: float) -> MediaChunk:
        """Return the next `count` frames with their audio."""
        chunk = MediaChunk()
        for number in range(count):
            self._append_frame(chunk, now + number / self._planner.fps, now)
            self.counters.frames += 1
        if self._utterances and self._utterances[0].started:
            chunk.utterance, chunk.utterance_frames = (
                self._utterances[0].number,
                self._utterances[0].sent_frames,
            )
        return chunk

    def _append_frame(self, chunk: MediaChunk, due_at: float, now: float) -> None:
        while self._utterances and self._utterances[0].is_complete:
            chunk.events.append(self._ended(self._utterances.popleft(), False))
            self._playout.end_speech()
        if not self._utterances:
            return self._append_idle(chunk)
        utterance = self._utterances[0]
        if not utterance.ended and now - utterance.arrival.last_at > self._settings.silence_timeout_seconds:
            utterance.end()
        if not utterance.started:
            if utterance.playout_at is None or due_at < utterance.playout_at or not utterance.ready_frames:
                return self._append_idle(chunk)
            self._start(utterance, chunk, due_at)
        if not utterance.has_next_audio or self._planner.lacks_audio(utterance.progress):
            self.counters.underrun_frames += 1
            return self._playout.append_speech(chunk)
        frame, audio = utterance.pop_frame()
        if frame is None:
            self.counters.repeated_frames += 1
        return self._playout.append_speech(chunk, frame, audio)

    def _start(self, utterance: Utterance, chunk: MediaChunk, due_at: float) -> None:
        utterance.started = True
        self._playout.start_speech()
        self.counters.latency = utterance.latency.with_playout(due_at)
        latency = 1000 * (due_at - utterance.arrival.first_at)
        chunk.events.append(
            UtteranceStarted(utterance=utterance.number, at_ms=self.media_ms, latency_ms=round(latency, 1))
        )

    def _append_idle(self, chunk: MediaChunk) -> None:
        self.counters.idle_frames += 1
        self._playout.append_idle(chunk)

    def _ended(self, utterance: Utterance, interrupted: bool) -> UtteranceEnded:
        return UtteranceEnded(
            utterance=utterance.number,
            at_ms=self.media_ms,
            position_ms=round(1000 * utterance.sent_seconds, 3),
            interrupted=interrupted,
        )
