"""How an utterance is cut into windows: which frames are asked for next, and when the first may be shown.

No clock and no I/O: everything is given in seconds, frames or samples.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from ..engines.base import HEARING_RATE

_ROUNDING = 1e-6
_MOST_HEARD = 60.0  # seconds of sound that are looked ahead, at most

Cost = Callable[[int], float]
"""Seconds from asking for a window of so many frames to having it; 0 while nothing is known."""


@dataclass(frozen=True)
class WindowSettings:
    """lengths: of windows in frames, the first of an utterance first, rising. ahead: most seconds of frames asked for before
    they are due: what an interrupt throws away. tail: frames of silence after speech, in which the mouth closes. slack:
    seconds to spare. load: the share of real time that generating may take. most_lead: longest wait before the first frame.
    """

    lengths: tuple[int, ...] = (4, 8, 16)
    ahead: float = 1.0
    tail: int = 6
    slack: float = 0.02
    load: float = 0.95
    most_lead: float = 0.5

    def __post_init__(self) -> None:
        if not self.lengths or self.lengths[0] < 1 or list(self.lengths) != sorted(set(self.lengths)):
            raise ValueError(f"window lengths must be positive and rise, got {self.lengths}")


@dataclass(frozen=True)
class Progress:
    """Where an utterance stands. heard: samples at 16 kHz, all in all; frames: how many it has, known once it has ended;
    requested: frames asked for; sent: frames shown, or held in their place; showing: whether the first has been shown.
    """

    heard: int
    frames: int | None
    requested: int
    sent: int
    showing: bool


@dataclass(frozen=True)
class AudioWindow:
    """Frames start to start + frames of an utterance."""

    start: int
    frames: int


def whole_bursts(seconds: float, burst: float) -> float:
    """Seconds of audio that come with the burst that brings the last of so many."""
    if burst <= 0:
        return seconds
    return ceil(seconds / burst - _ROUNDING) * burst


class Planner:
    """What an engine needs to hear, how long it takes, and the settings, put together.

    after: seconds that it is busy after a window with nothing that is waited for.
    """

    def __init__(
        self,
        settings: WindowSettings,
        fps: int,
        needed: Callable[[int], int],
        cost: Cost,
        after: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.settings = settings
        self.fps = fps
        self._needed = needed
        self._cost = cost
        self._after = after

    @property
    def steady(self) -> int:
        """The shortest window that keeps up with real time; the longest there is where none does."""
        share = self.settings.load / self.fps
        lengths, after = self.settings.lengths, self._after()
        return next((n for n in lengths if self._cost(n) + after <= n * share), lengths[-1])

    def next(self, at: Progress) -> AudioWindow | None:
        """What to ask for now; None while nothing is due or more audio is worth waiting for."""
        start = self._start(at)
        if at.frames is not None and start >= at.frames:
            return None
        if at.requested and (at.requested - at.sent) / self.fps > self.settings.ahead:
            return None
        length = self._longest(at, start)
        if length is None:
            return None
        if at.showing and start < at.sent + self._passing(length):
            start, length = self._catch_up(at, start, length)
        first = at.requested == 0 or at.frames is not None
        if first or length >= self.steady or self._urgent(at, length):
            return AudioWindow(start, length)
        return None

    def needed(self, frames: int) -> int:
        """Samples at 16 kHz that the first `frames` frames of an utterance need."""
        return self._needed(frames)

    def lead(self, at: Progress, ready: int, burst: float, since: float) -> float:
        """Seconds for which the first frame, `ready` of which are there, should wait so that those after them come in time.

        burst: seconds of audio that come at once, and so every how many seconds; since: seconds since the last came.
        """
        if at.frames is not None and ready >= at.frames:
            return 0.0
        return min(max(0.0, self._wait(at, ready / self.fps, burst, since)), self.settings.most_lead)

    def waits_for_audio(self, at: Progress) -> bool:
        """Whether the next frame cannot have been asked for, because the client has not sent what it needs to hear."""
        return at.frames is None and at.sent >= at.requested and self._longest(at, self._start(at)) is None

    def _wait(self, at: Progress, shown: float, burst: float, since: float) -> float:
        """Seconds until the next steady window is bound to be there, less those for which there is something to show."""
        length = self.steady
        missing = 0.0
        if at.frames is None:
            lacking = (self._needed(at.requested + length) - at.heard) / HEARING_RATE
            missing = max(0.0, whole_bursts(lacking, burst) - since) if lacking > 0 else 0.0
        return missing + self._cost(length) + self.settings.slack - shown

    def _start(self, at: Progress) -> int:
        """Frames that would come too late are skipped: those shown by the time that a window takes."""
        if not at.showing:
            return at.requested
        return max(at.requested, at.sent + self._passing(self.settings.lengths[0]))

    def _passing(self, length: int) -> int:
        """Frames that are shown, or held, while a window is made."""
        return int(self._cost(length) * self.fps)

    def _catch_up(self, at: Progress, start: int, length: int) -> tuple[int, int]:
        """Where the model is behind: the window of which most frames a second of work come in time. One that is long, and so takes
        longer than the shortest one, begins later, as far as there is sound for it. Where none comes in time, as it was.
        """
        known = at.frames
        if known is None:
            ahead = range(at.sent, at.sent + round(_MOST_HEARD * self.fps))
            known = at.sent + bisect_right(ahead, at.heard, key=self._needed) - 1
        best, most = (start, length), 0.0
        for n in self.settings.lengths:
            ready = at.sent + self._passing(n)
            begin = max(start, min(ready, known - n) if at.frames is None else ready)
            in_time = min(begin + n, known) - max(begin, ready)
            worth = in_time / max(self._cost(n), 1e-9)
            if (begin + n <= known or at.frames is not None) and worth > most:
                best, most = (begin, n), worth
        return best

    def _longest(self, at: Progress, start: int) -> int | None:
        if at.requested == 0:
            lengths = self.settings.lengths[:1]
        elif at.frames is not None:
            remaining = at.frames - start
            whole = [n for n in self.settings.lengths if n <= remaining]
            lengths = tuple(whole) or self.settings.lengths[:1]
        else:
            lengths = self.settings.lengths
        can = [n for n in lengths if at.frames is not None or self._needed(start + n) <= at.heard]
        return max(can, default=None)

    def _urgent(self, at: Progress, length: int) -> bool:
        """Whether a window is asked for that is too short to keep up: while frames are shown, at the last moment at which it comes
        in time. Before that none is, because it would make those after it late, unless the first frame would wait too long for
        a steady one.
        """
        left = (at.requested - at.sent) / self.fps
        if at.showing:
            return left <= self._cost(length) + self.settings.slack
        return self._wait(at, left, 0.0, 0.0) > self.settings.most_lead
