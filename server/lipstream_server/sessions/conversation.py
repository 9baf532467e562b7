"""A conversation without sockets, threads and clock: audio and commands in, windows to make and bursts of media out.

    idle --audio--> speaking --utterance.end, or silence on the line--> draining --all is shown--> idle
    any --interrupt--> idle

What is promised: while an utterance is shown its sound never waits for its pictures. A frame that has not been made when its
turn comes is replaced by the last one (`repeated_frames`), and is not made any more. Only missing audio stops an utterance, and
when none comes for `gap` seconds it has ended. So delay does not grow, and picture and sound cannot drift: there is one
counter, of frames, and every frame has exactly its samples.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..engines.base import (
    Made,
    Opened,
    Picture,
    Request,
    Samples,
)
from ..media.live.codecs import SOUND_RATE
from ..protocol import UtteranceEnded, UtteranceStarted
from .crossfade import Crossfade
from .idle import IdleSource, Loop
from .latency import FirstFrameLatency
from .utterance import Utterance
from .window_planner import Planner

State = Literal["idle", "speaking", "draining"]
Event = UtteranceStarted | UtteranceEnded


class BufferFullError(ValueError):
    """More audio has come than may wait."""


@dataclass(frozen=True)
class ConversationSettings:
    """backlog: most seconds of audio that may wait. gap: seconds without audio after which an open utterance has ended.

    fade: frames over which idle passes into speech and back; an interrupt cuts.
    """

    backlog: float = 60.0
    gap: float = 0.6
    fade: int = 2


@dataclass(frozen=True, eq=False)
class MediaChunk:
    """Pictures (H, W, 3), their samples at 48 kHz, what to tell the client before them, the utterance of the last, and how many
    of its frames have been shown then.
    """

    pictures: list[Picture]
    samples: Samples
    utterance: int
    events: list[Event]
    utterance_frames: int = 0


@dataclass(frozen=True, eq=False)
class WindowJob:
    """A window to make: its request, when its first frame is to be shown, and when it was asked for."""

    utterance: int
    request: Request
    deadline: float
    requested_at: float


@dataclass
class Counters:
    frames: int = 0
    idle_frames: int = 0
    repeated_frames: int = 0
    underrun_frames: int = 0
    latency: FirstFrameLatency | None = None


@dataclass
class _Out:
    pictures: list[Picture] = field(default_factory=list)
    sounds: list[Samples] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class Conversation:
    """rate: of the client's audio. Times are seconds of one clock, given by the caller."""

    def __init__(
        self, opened: Opened, rate: int, planner: Planner, settings: ConversationSettings, idle: str
    ) -> None:
        self.counters = Counters()
        self._opened, self._rate, self._planner, self._settings = opened, rate, planner, settings
        self._idle: IdleSource = Loop(opened.idle if idle == "alive" else opened.idle[:1])
        self._queue: deque[Utterance] = deque()
        self._numbers = 0
        self._making: Utterance | None = None
        self._last: Picture | None = None  # the last picture of speech, to be held
        self._shown: Picture | None = None
        self._fade = Crossfade(settings.fade)

    @property
    def state(self) -> State:
        if not self._queue:
            return "idle"
        return "draining" if all(utterance.ended for utterance in self._queue) else "speaking"

    @property
    def beginning(self) -> bool:
        """Whether an utterance waits for its first picture to be shown."""
        return bool(self._queue) and not self._queue[0].showing

    @property
    def backlog(self) -> float:
        """Seconds of audio received and not sent."""
        return sum(utterance.backlog for utterance in self._queue)

    @property
    def media_ms(self) -> float:
        """The end of what has been given out."""
        return 1000 * self.counters.frames / self._planner.fps

    def hear(self, samples: Samples, now: float) -> None:
        """Audio, mono at the client's rate; it begins an utterance where none is open. Raises BufferFullError, having taken
        nothing of it.
        """
        if not len(samples):
            return
        waiting = self.backlog + len(samples) / self._rate
        if waiting > self._settings.backlog:
            raise BufferFullError(
                f"{waiting * 1000:.0f} ms of audio would wait, at most {self._settings.backlog * 1000:.0f} may; "
                "this message was dropped"
            )
        if not self._queue or self._queue[-1].ended:
            self._numbers += 1
            tail = self._planner.settings.tail
            self._queue.append(
                Utterance(self._numbers, self._rate, self._planner.fps, tail, self._opened.stream, now)
            )
        self._queue[-1].hear(samples, now)

    def end_utterance(self) -> None:
        """The open utterance, if there is one, is complete."""
        if self._queue:
            self._queue[-1].end()

    def interrupt(self) -> list[UtteranceEnded]:
        """Forget all that has not been given out; returns what to tell the client, at least one message."""
        dropped = list(self._queue)
        self._queue.clear()
        self._making = None
        self._idle.begin()
        self._fade.cut()
        return [self._ended(utterance, True) for utterance in dropped] or [
            UtteranceEnded(utterance=None, at_ms=self.media_ms, position_ms=0.0, interrupted=True)
        ]

    def due(self, now: float) -> WindowJob | None:
        """The window to make now, if any; at most one is being made at a time."""
        if self._making is not None:
            return None
        for utterance in self._queue:
            progress = utterance.progress
            window = self._planner.next(progress)
            if window is not None:
                utterance.requested = window.start + window.frames
                self._making = utterance
                until = self._planner.needed(window.start + window.frames)
                samples, ended = utterance.take_hearing(until)
                request = Request(utterance.stream, samples, window.start, window.frames, ended)
                ahead = (window.start - utterance.sent) / self._planner.fps if utterance.showing else 0.0
                return WindowJob(utterance.number, request, now + ahead, now)
            if progress.frames is None or progress.requested < progress.frames:
                return None  # a later utterance waits for an earlier one
        return None

    def made(self, due: WindowJob, made: Made, now: float) -> None:
        """A window is there; one that was interrupted meanwhile is dropped."""
        utterance = self._making
        if utterance is None or utterance.number != due.utterance:
            return
        self._making = None
        utterance.stream = made.stream
        utterance.keep(due.request.start, made.frames)
        if utterance.start_at is None:
            utterance.latency = FirstFrameLatency.of_first_window(
                utterance.arrival.first, due.requested_at, made, now
            )
            came = utterance.arrival
            lead = self._planner.lead(utterance.progress, utterance.ready, came.burst, now - came.last)
            utterance.start_at = now + lead

    def lost(self, due: WindowJob) -> None:
        """A window will not come; its time may be over, so another one is asked for, of which it is a part."""
        utterance = self._making
        if utterance is None or utterance.number != due.utterance:
            return
        self._making = None
        utterance.requested = due.request.start
        utterance.give_back(due.request.samples)

    def shown(self, encoding: float, sending: float) -> None:
        """The burst with the first frame of an utterance has been sent, which took so many seconds."""
        if self.counters.latency is not None:
            self.counters.latency = self.counters.latency.with_sent(encoding, sending)

    def burst(self, count: int, now: float) -> MediaChunk:
        """The next `count` frames with their sound."""
        out = _Out()
        for number in range(count):
            self._frame(out, now + number / self._planner.fps, now)
            self.counters.frames += 1
        sounds = np.concatenate(out.sounds)
        if not self._queue or not self._queue[0].showing:
            return MediaChunk(out.pictures, sounds, 0, out.events, 0)
        return MediaChunk(out.pictures, sounds, self._queue[0].number, out.events, self._queue[0].sent)

    def _frame(self, out: _Out, at: float, now: float) -> None:
        while self._queue and self._queue[0].done:
            out.events.append(self._ended(self._queue.popleft(), False))
            self._idle.begin()
            self._fade.begin(self._shown)
        if not self._queue:
            return self._add_idle(out)
        utterance = self._queue[0]
        if not utterance.ended and now - utterance.arrival.last > self._settings.gap:
            utterance.end()
        if not utterance.showing:
            if utterance.start_at is None or at < utterance.start_at or not utterance.ready:
                return self._add_idle(out)
            self._begin(utterance, out, at)
        if not utterance.has_sound() or self._planner.waits_for_audio(utterance.progress):
            self.counters.underrun_frames += 1
            return self._add(out, None)
        picture, sound = utterance.send()
        if picture is None:
            self.counters.repeated_frames += 1
        return self._add(out, picture, sound)

    def _begin(self, utterance: Utterance, out: _Out, at: float) -> None:
        utterance.showing = True
        self._fade.begin(self._shown)
        self.counters.latency = utterance.latency.with_playout(at)
        waited = 1000 * (at - utterance.arrival.first)
        out.events.append(
            UtteranceStarted(utterance=utterance.number, at_ms=self.media_ms, latency_ms=round(waited, 1))
        )

    def _add_idle(self, out: _Out) -> None:
        self.counters.idle_frames += 1
        self._last = None
        self._show(out, self._idle.next(), None)

    def _add(self, out: _Out, picture: Picture | None, sound: Samples | None = None) -> None:
        if picture is not None:
            self._last = picture
        self._show(out, self._idle.next() if self._last is None else self._last, sound)

    def _show(self, out: _Out, picture: Picture, sound: Samples | None) -> None:
        self._shown = self._fade.next(picture)
        out.pictures.append(self._shown)
        out.sounds.append(self._silence() if sound is None else sound)

    def _silence(self) -> Samples:
        return np.zeros(SOUND_RATE // self._planner.fps, np.float32)

    def _ended(self, utterance: Utterance, interrupted: bool) -> UtteranceEnded:
        return UtteranceEnded(
            utterance=utterance.number,
            at_ms=self.media_ms,
            position_ms=round(1000 * utterance.position, 3),
            interrupted=interrupted,
        )
