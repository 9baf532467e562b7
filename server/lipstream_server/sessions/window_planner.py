"""Cutting of utterances into windows: which frames to request next, and when the first frame may be shown.

The planner has no clock and no I/O: times are seconds, positions are frames or samples.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from ..config.settings import WindowSettings
from ..media.arrays import ENGINE_SAMPLE_RATE

_ROUNDING = 1e-6
_MAX_LOOKAHEAD_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """State of an utterance as the planner sees it.

    Attributes:
        received_samples: Samples at the engine's rate that were received.
        total_frames: Frames of the whole utterance, None until it has ended.
        requested_frames: Frames that were requested.
        sent_frames: Frames that were sent, repeated ones included.
        started: Whether its first frame was sent.
    """

    received_samples: int
    total_frames: int | None
    requested_frames: int
    sent_frames: int
    started: bool


class WindowPlanner:
    """Plans the windows of utterances for one engine.

    Args:
        settings: Window lengths, margins and limits.
        fps: Frames per second of the video.
        samples_needed: Number of samples from an utterance's start that its first n frames need.
        window_cost: Expected seconds from requesting a window of n frames to its result; 0 while unknown.
        prefetch_cost: Expected seconds for which the device is busy after a window.
    """

    def __init__(
        self,
        settings: WindowSettings,
        fps: int,
        samples_needed: Callable[[int], int],
        window_cost: Callable[[int], float],
        prefetch_cost: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.settings = settings
        self.fps = fps
        self.samples_needed = samples_needed
        self._window_cost = window_cost
        self._prefetch_cost = prefetch_cost

    @property
    def sustainable_length(self) -> int:
        """Length in frames of the shortest window that keeps up with real time, of the longest if none does."""
        share = self.settings.max_real_time_factor / self.fps
        lengths, prefetch = self.settings.lengths, self._prefetch_cost()
        return next((n for n in lengths if self._window_cost(n) + prefetch <= n * share), lengths[-1])

    def next_window(self, at: Progress) -> range | None:
        """Return the frame numbers to request now; None while nothing is due or more audio is worth waiting for."""
        start = self._first_useful_frame(at)
        if at.total_frames is not None and start >= at.total_frames:
            return None
        if at.requested_frames and self._requested_ahead(at) > self.settings.prefetch_seconds:
            return None
        length = self._longest_possible(at, start)
        if length is None:
            return None
        if at.started and start < at.sent_frames + self._frames_during(length):
            start, length = self._catch_up(at, start, length)
        at_once = at.requested_frames == 0 or at.total_frames is not None
        if at_once or length >= self.sustainable_length or self._is_urgent(at, length):
            return range(start, start + length)
        return None

    def startup_delay(self, at: Progress, ready_frames: int, chunk: float, since_chunk: float) -> float:
        """Return how long the first frame should wait so that those after it are ready in time.

        Args:
            at: State of the utterance.
            ready_frames: Frames that are ready.
            chunk: Seconds of audio that arrive at once, and so the seconds between arrivals.
            since_chunk: Seconds since the last arrival.
        """
        if at.total_frames is not None and ready_frames >= at.total_frames:
            return 0.0
        delay = self._time_to_next_window(at, ready_frames / self.fps, chunk, since_chunk)
        return min(max(0.0, delay), self.settings.max_startup_delay_seconds)

    def lacks_audio(self, at: Progress) -> bool:
        """Return whether the next frame could not be requested because the client's audio has not arrived."""
        if at.total_frames is not None or at.sent_frames < at.requested_frames:
            return False
        return self._longest_possible(at, self._first_useful_frame(at)) is None

    def _requested_ahead(self, at: Progress) -> float:
        """Return the seconds of frames that were requested and not sent."""
        return (at.requested_frames - at.sent_frames) / self.fps

    def _time_to_next_window(self, at: Progress, covered: float, chunk: float, since_chunk: float) -> float:
        """Return the seconds until the next sustainable window is sure to be ready, less those that frames cover."""
        length = self.sustainable_length
        wait = 0.0
        if at.total_frames is None:
            missing_samples = self.samples_needed(at.requested_frames + length) - at.received_samples
            if missing_samples > 0:
                wait = max(0.0, round_up_to_chunks(missing_samples / ENGINE_SAMPLE_RATE, chunk) - since_chunk)
        return wait + self._window_cost(length) + self.settings.safety_margin_seconds - covered

    def _first_useful_frame(self, at: Progress) -> int:
        """Return the first frame to request; frames that would be ready too late are skipped."""
        if not at.started:
            return at.requested_frames
        return max(at.requested_frames, at.sent_frames + self._frames_during(self.settings.lengths[0]))

    def _frames_during(self, length: int) -> int:
        """Return the number of frames that are sent while a window of `length` frames is generated."""
        return int(self._window_cost(length) * self.fps)

    def _catch_up(self, at: Progress, start: int, length: int) -> tuple[int, int]:
        """Return start and length of the window with the most frames in time per second of work.

        A window that takes longer than the shortest one starts later, as far as there is audio for it. Where none has
        frames in time, the given one is returned.
        """
        available = at.total_frames
        if available is None:
            lookahead = range(at.sent_frames, at.sent_frames + round(_MAX_LOOKAHEAD_SECONDS * self.fps))
            available = (
                at.sent_frames + bisect_right(lookahead, at.received_samples, key=self.samples_needed) - 1
            )
        best, best_value = (start, length), 0.0
        for n in self.settings.lengths:
            ready = at.sent_frames + self._frames_during(n)
            begin = max(start, min(ready, available - n) if at.total_frames is None else ready)
            in_time = min(begin + n, available) - max(begin, ready)
            value = in_time / max(self._window_cost(n), 1e-9)
            if (begin + n <= available or at.total_frames is not None) and value > best_value:
                best, best_value = (begin, n), value
        return best

    def _longest_possible(self, at: Progress, start: int) -> int | None:
        """Return the longest window at `start` for which there is audio, None where there is none."""
        if at.requested_frames == 0:
            lengths = self.settings.lengths[:1]
        elif at.total_frames is not None:
            remaining = at.total_frames - start
            lengths = tuple(n for n in self.settings.lengths if n <= remaining) or self.settings.lengths[:1]
        else:
            lengths = self.settings.lengths
        possible = [
            n
            for n in lengths
            if at.total_frames is not None or self.samples_needed(start + n) <= at.received_samples
        ]
        return max(possible, default=None)

    def _is_urgent(self, at: Progress, length: int) -> bool:
        """Return whether to request a window that is too short to keep up with real time.

        During playback, only at the last moment at which it is ready in time, because it delays those after it. Before
        playback, only where the first frame would wait too long for a sustainable one.
        """
        ahead = self._requested_ahead(at)
        if at.started:
            return ahead <= self._window_cost(length) + self.settings.safety_margin_seconds
        return self._time_to_next_window(at, ahead, 0.0, 0.0) > self.settings.max_startup_delay_seconds


def round_up_to_chunks(seconds: float, chunk: float) -> float:
    """Return `seconds` rounded up to whole chunks of audio; unchanged where `chunk` is 0 (unknown)."""
    if chunk <= 0:
        return seconds
    return ceil(seconds / chunk - _ROUNDING) * chunk
