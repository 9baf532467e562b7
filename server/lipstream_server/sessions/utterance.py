"""One utterance: its audio as it comes, its frames as they are made, and how much of both has been sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..engines.base import (
    HEARING_RATE,
    Frames,
    Samples,
    Stream,
)
from ..media.live.audio_input import Resampler
from ..media.live.codecs import SOUND_RATE
from ..media.sample_queue import SampleQueue
from .latency import FirstFrameLatency
from .window_planner import Progress


@dataclass(frozen=True)
class Arrival:
    """When audio came, in seconds of the session's clock. burst: seconds of audio that came at once."""

    first: float
    last: float
    burst: float


class Utterance:
    """number: counts from 1. stream: the engine's value, replaced with every window."""

    def __init__(self, number: int, rate: int, fps: int, tail: int, stream: Stream, now: float) -> None:
        self.number = number
        self.stream = stream
        self.arrival = Arrival(now, now, 0.0)
        self.showing = False
        self.start_at: float | None = (
            None  # when its first frame may be shown; None: not before frames are there
        )
        self.latency = FirstFrameLatency(received_at=now)
        self.sent = 0
        self.requested = 0
        self.ended = False
        self._rate, self._fps, self._tail = rate, fps, tail
        self._to_engine, self._to_client = Resampler(rate, HEARING_RATE), Resampler(rate, SOUND_RATE)
        self._hearing, self._sound = SampleQueue(), SampleQueue()
        self._pictures: dict[int, NDArray[np.uint8]] = {}

    @property
    def frames(self) -> int | None:
        """How many frames it has with its tail, known once it has ended."""
        if not self.ended:
            return None
        return -(-self._hearing.total * self._fps // HEARING_RATE) + self._tail

    @property
    def progress(self) -> Progress:
        return Progress(self._hearing.total, self.frames, self.requested, self.sent, self.showing)

    @property
    def done(self) -> bool:
        frames = self.frames
        return frames is not None and self.sent >= frames

    @property
    def backlog(self) -> float:
        """Seconds of audio that have not been sent."""
        return len(self._sound) / SOUND_RATE

    @property
    def position(self) -> float:
        """Seconds of audio that have been sent."""
        return (self._sound.total - len(self._sound)) / SOUND_RATE

    @property
    def ready(self) -> int:
        """Frames that are there without a gap from the next on."""
        count = 0
        while self.sent + count in self._pictures:
            count += 1
        return count

    def hear(self, samples: Samples, now: float) -> None:
        """More audio, mono at the client's rate."""
        burst = max(self.arrival.burst, len(samples) / self._rate)
        self.arrival = Arrival(self.arrival.first, now, burst)
        self._hearing.put(self._to_engine.push(samples))
        self._sound.put(self._to_client.push(samples))

    def end(self) -> None:
        """Nothing follows: the resamplers give out what they kept."""
        if not self.ended:
            self._hearing.put(self._to_engine.flush())
            self._sound.put(self._to_client.flush())
            self.ended = True

    def take_hearing(self, until: int) -> tuple[Samples, bool]:
        """What the engine has not heard up to sample number `until` at 16 kHz, and whether that is all there will be."""
        heard = self._hearing.total - len(self._hearing)
        samples = self._hearing.take(max(0, until - heard))
        return samples, self.ended and not len(self._hearing)

    def give_back(self, samples: Samples) -> None:
        """What was taken last has not been heard."""
        self._hearing.give_back(samples)

    def keep(self, start: int, pictures: Frames) -> None:
        """Frames from number `start` on; those whose time is over, or past the end, are dropped."""
        end = self.frames
        for number, picture in enumerate(pictures, start):
            if number >= self.sent and (end is None or number < end):
                self._pictures[number] = picture

    def has_sound(self) -> bool:
        """Whether the next frame's sound is complete."""
        return self.ended or len(self._sound) >= SOUND_RATE // self._fps

    def send(self) -> tuple[NDArray[np.uint8] | None, Samples]:
        """The next frame, None where it has not been made, and its sound, filled up with silence."""
        count = SOUND_RATE // self._fps
        samples = self._sound.take(count)
        picture = self._pictures.pop(self.sent, None)
        self.sent += 1
        missing = count - len(samples)
        return picture, np.concatenate([samples, np.zeros(missing, np.float32)]) if missing else samples
