"""One utterance: its audio as it arrives, its frames as they are generated, and how much of both was sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engines.base import Stream
from ..media.arrays import (
    ENGINE_SAMPLE_RATE,
    OUTPUT_SAMPLE_RATE,
    Frame,
    Frames,
    Samples,
)
from ..media.live.audio_input import Resampler
from ..media.sample_queue import SampleQueue
from .latency import FirstFrameLatency
from .window_planner import Progress


@dataclass(frozen=True)
class AudioArrival:
    """Arrival of an utterance's audio; times are seconds of the session's clock.

    Attributes:
        first_at: Time of the first audio.
        last_at: Time of the last audio.
        chunk_seconds: Duration of the longest audio that arrived at once.
    """

    first_at: float
    last_at: float
    chunk_seconds: float


class Utterance:
    """Audio that belongs together, and the frames that show it.

    Args:
        number: Number in the session, from 1.
        sample_rate: Sample rate of the client's audio in Hz.
        fps: Frames per second of the video.
        closing_frames: Frames of silence at its end.
        stream: State of the engine's stream.
        now: Time of its first audio.
    """

    def __init__(
        self, number: int, sample_rate: int, fps: int, closing_frames: int, stream: Stream, now: float
    ) -> None:
        self.number = number
        self.stream = stream
        self.arrival = AudioArrival(now, now, 0.0)
        self.latency = FirstFrameLatency(received_at=now)
        self.playout_at: float | None = (
            None  # time from which its first frame may be sent, set with the first window
        )
        self.started = False
        self.ended = False
        self.sent_frames = 0
        self.requested_frames = 0
        self._sample_rate, self._fps, self._closing_frames = sample_rate, fps, closing_frames
        self._engine_resampler = Resampler(sample_rate, ENGINE_SAMPLE_RATE)
        self._output_resampler = Resampler(sample_rate, OUTPUT_SAMPLE_RATE)
        self._engine_audio, self._output_audio = SampleQueue(), SampleQueue()
        self._frames: dict[int, Frame] = {}

    @property
    def total_frames(self) -> int | None:
        """Number of frames with the closing ones, None until it has ended."""
        if not self.ended:
            return None
        return -(-self._engine_audio.total * self._fps // ENGINE_SAMPLE_RATE) + self._closing_frames

    @property
    def progress(self) -> Progress:
        """State for the planner."""
        return Progress(
            self._engine_audio.total, self.total_frames, self.requested_frames, self.sent_frames, self.started
        )

    @property
    def is_complete(self) -> bool:
        """Whether all frames were sent."""
        total = self.total_frames
        return total is not None and self.sent_frames >= total

    @property
    def buffered_seconds(self) -> float:
        """Seconds of audio that were not sent."""
        return len(self._output_audio) / OUTPUT_SAMPLE_RATE

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that were sent."""
        return (self._output_audio.total - len(self._output_audio)) / OUTPUT_SAMPLE_RATE

    @property
    def ready_frames(self) -> int:
        """Number of consecutive frames that are ready from the next one on."""
        count = 0
        while self.sent_frames + count in self._frames:
            count += 1
        return count

    @property
    def has_next_audio(self) -> bool:
        """Whether the audio of the next frame is complete."""
        return self.ended or len(self._output_audio) >= OUTPUT_SAMPLE_RATE // self._fps

    def add_audio(self, samples: Samples, now: float) -> None:
        """Append audio (N,), mono at the client's rate."""
        chunk = max(self.arrival.chunk_seconds, len(samples) / self._sample_rate)
        self.arrival = AudioArrival(self.arrival.first_at, now, chunk)
        self._engine_audio.put(self._engine_resampler.push(samples))
        self._output_audio.put(self._output_resampler.push(samples))

    def end(self) -> None:
        """Mark the audio as complete and flush the resamplers."""
        if not self.ended:
            self._engine_audio.put(self._engine_resampler.flush())
            self._output_audio.put(self._output_resampler.flush())
            self.ended = True

    def take_engine_audio(self, until: int) -> tuple[Samples, bool]:
        """Return the audio (N,) that the engine has not received up to sample `until`, and whether it is the last."""
        taken = self._engine_audio.total - len(self._engine_audio)
        samples = self._engine_audio.take(max(0, until - taken))
        return samples, self.ended and not len(self._engine_audio)

    def put_back_engine_audio(self, samples: Samples) -> None:
        """Undo the last `take_engine_audio`."""
        self._engine_audio.put_back(samples)

    def add_frames(self, start: int, frames: Frames) -> None:
        """Store frames (F, H, W, 3) from number `start` on; those that are too late or past the end are dropped."""
        total = self.total_frames
        for number, frame in enumerate(frames, start):
            if number >= self.sent_frames and (total is None or number < total):
                self._frames[number] = frame

    def pop_frame(self) -> tuple[Frame | None, Samples]:
        """Return the next frame (H, W, 3), None where it is not ready, and its audio (S,), padded with silence."""
        count = OUTPUT_SAMPLE_RATE // self._fps
        samples = self._output_audio.take(count)
        frame = self._frames.pop(self.sent_frames, None)
        self.sent_frames += 1
        missing = count - len(samples)
        return frame, np.concatenate([samples, np.zeros(missing, np.float32)]) if missing else samples
