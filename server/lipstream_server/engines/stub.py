"""An engine without a model: an avatar is a colour, a bar at the bottom shows how loud the audio of each frame is.

For tests, and for measuring what the server itself costs.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ..media.arrays import (
    ENGINE_SAMPLE_RATE,
    Frame,
    Frames,
    Samples,
)
from .base import (
    RUNNING,
    DeviceState,
    OpenedStream,
    PortraitError,
    Stream,
    UnknownAvatarError,
    UnknownPresetError,
    WindowRequest,
    WindowResult,
)

COLOURS = MappingProxyType(
    {"red": (200, 40, 40), "green": (40, 180, 40), "blue": (40, 40, 200), "grey": (128, 128, 128)}
)
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclass(frozen=True, eq=False)
class StubStream:
    """heard: the utterance's audio from frame number `first` on."""

    avatar: str
    colour: tuple[int, ...]
    preset: str
    heard: Samples
    first: int = 0

    @property
    def batch_key(self) -> str:
        return self.preset


class StubEngine:
    """seconds: what a window costs, and what each of its frames costs, whatever the batch; a test may change them."""

    name = "stub"
    presets = ("realtime", "exact")
    health = RUNNING
    call_timeout = 0.0

    def __init__(
        self,
        side: int = 64,
        fps: int = 25,
        seconds_per_window: float = 0.0,
        seconds_per_frame: float = 0.0,
        look_ahead_frames: int = 2,
    ) -> None:
        self.size = (side, side)
        self.fps = fps
        self.seconds_per_window = seconds_per_window
        self.seconds_per_frame = seconds_per_frame
        self.look_ahead_frames = look_ahead_frames
        self.batches: list[int] = []
        self._frame = ENGINE_SAMPLE_RATE // fps
        self._colours: dict[str, tuple[int, ...]] = dict(COLOURS)

    @property
    def avatars(self) -> Sequence[str]:
        return tuple(COLOURS)

    @property
    def image_decoder(self) -> Callable[[bytes], Frame]:
        return decode_image

    def decode_image(self, data: bytes) -> Frame:
        return decode_image(data)

    def register(self, avatar: str, picture: Frame) -> Sequence[str]:
        self._colours[avatar] = tuple(int(value) for value in picture[0, 0])
        return ()

    def unregister(self, avatar: str) -> None:
        self._colours.pop(avatar, None)

    def preview(self, avatar: str) -> Frame:
        preview: Frame = self._paint(self._colour(avatar), [0.0])[0]
        return preview

    def open(self, avatar: str, preset: str) -> OpenedStream:
        stream = self.create_stream(avatar, preset, 0)
        return OpenedStream(stream, self._paint(stream.colour, [0.0, 0.0]))

    def create_stream(self, avatar: str, preset: str, seed: int) -> StubStream:
        """There is no noise; the seed changes nothing."""
        colour = self._colour(avatar)
        if preset not in self.presets:
            raise UnknownPresetError(f"there is no preset {preset!r}, only {', '.join(self.presets)}")
        return StubStream(avatar, colour, preset, np.zeros(0, np.float32))

    def samples_needed(self, frames: int) -> int:
        return (frames + self.look_ahead_frames) * self._frame

    def device_state(self) -> DeviceState:
        return DeviceState("none")

    def prefetch_motion_features(self, streams: Sequence[Stream]) -> None:
        """There is nothing to compute."""

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        self.batches.append(len(requests))
        frames = requests[0].frames
        cost = self.seconds_per_window + self.seconds_per_frame * frames
        if cost:
            time.sleep(cost)
        return [self._make(request) for request in requests]

    def _make(self, request: WindowRequest) -> WindowResult:
        stream = request.stream
        if not isinstance(stream, StubStream):
            raise TypeError(f"expected a stream of this engine, got {type(stream).__name__}")
        heard = np.concatenate([stream.heard, request.samples])
        begin = (request.start - stream.first) * self._frame
        needed = self.samples_needed(request.start + request.frames)
        had = stream.first * self._frame + len(heard)
        if had < needed and not request.ended:
            raise ValueError(f"expected {needed} samples or an ended utterance, got {had}")
        ends = range(begin + self._frame, begin + (request.frames + 1) * self._frame, self._frame)
        levels = [loudness(heard[end - self._frame : end]) for end in ends]
        kept = replace(stream, heard=heard[begin:], first=request.start)
        return WindowResult(kept, self._paint(stream.colour, levels))

    def check(self) -> None:
        """It shares the server's process."""

    def close(self) -> None:
        """There is no device."""

    def snapshot_avatar(self, avatar: str) -> bytes:
        return pickle.dumps(self._colour(avatar))

    def restore_avatar(self, avatar: str, kept: bytes) -> None:
        self._colours[avatar] = pickle.loads(kept)  # noqa: S301  # what `snapshot_avatar` made

    def snapshot_stream(self, stream: Stream) -> bytes:
        return pickle.dumps(stream)

    def restore_stream(self, avatar: str, preset: str, kept: bytes) -> StubStream:
        stream: StubStream = pickle.loads(kept)  # noqa: S301  # what `keep` made
        return replace(stream, colour=self._colour(avatar))

    def _colour(self, avatar: str) -> tuple[int, ...]:
        if avatar not in self._colours:
            raise UnknownAvatarError(f"there is no avatar {avatar!r}, only {', '.join(COLOURS)}")
        return self._colours[avatar]

    def _paint(self, colour: tuple[int, ...], levels: Sequence[float]) -> Frames:
        """A frame for every loudness."""
        width, height = self.size
        row = np.array([colour] * width, np.uint8)
        frames = np.empty((len(levels), height, width, 3), np.uint8)
        frames[:] = row
        for frame, loud in zip(frames, levels, strict=True):
            frame[height * 3 // 4 :, : round(loud * width)] = 255
        return frames


def decode_image(data: bytes) -> Frame:
    """Nothing is decoded: one pixel, of a colour that follows from the bytes."""
    if not data:
        raise PortraitError("image_empty", "expected a PNG or JPEG picture; got 0 bytes")
    if not data.startswith(_PICTURES):
        raise PortraitError(
            "not_an_image",
            f"expected a PNG or JPEG picture; got something that begins with {data[:8]!r}",
        )
    return np.frombuffer(hashlib.sha256(data).digest()[:3], np.uint8)[None, None]


def loudness(samples: Samples) -> float:
    """0 for silence, 1 for a full-scale square wave; any sound gives at least a tenth."""
    level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    return 0.0 if level < 1e-3 else max(0.1, min(1.0, level))
