"""An engine without a model: an avatar is a colour, and a bar shows how loud the audio of each frame is.

It serves tests, and measurements of what the server itself costs.
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
    Frames,
    RgbImage,
    Samples,
)
from .base import (
    DeviceState,
    OpenedStream,
    PortraitError,
    Stream,
    UnknownAvatarError,
    UnknownPresetError,
    WindowRequest,
    WindowResult,
)
from .interface import InProcessEngine

COLOURS = MappingProxyType(
    {"red": (200, 40, 40), "green": (40, 180, 40), "blue": (40, 40, 200), "grey": (128, 128, 128)}
)
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_SILENCE = 1e-3  # RMS below which audio counts as silence


@dataclass(frozen=True, eq=False)
class StubStream(Stream):
    """A stream of a StubEngine.

    Attributes:
        colour: RGB colour of the avatar.
        samples: Audio of the utterance from frame `first` on.
        first: Frame number of the first sample.
    """

    colour: tuple[int, ...]
    samples: Samples
    first: int = 0


class StubEngine(InProcessEngine):
    """A `RestorableEngine` that paints.

    Args:
        side: Width and height of a frame in pixels.
        fps: Frames per second.
        seconds_per_window: Time that a batch takes, whatever its size.
        seconds_per_frame: Additional time for each frame of a window.
        look_ahead_frames: Frames of lookahead that a window needs.
    """

    name = "stub"
    presets = ("realtime", "exact")

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
        self._samples_per_frame = ENGINE_SAMPLE_RATE // fps
        self._colours: dict[str, tuple[int, ...]] = dict(COLOURS)

    @property
    def avatars(self) -> Sequence[str]:
        """Names of the colours."""
        return tuple(COLOURS)

    @property
    def image_decoder(self) -> Callable[[bytes], RgbImage]:
        """The function `decode_image`."""
        return decode_image

    def decode_image(self, data: bytes) -> RgbImage:
        """Return one pixel (1, 1, 3). Raises PortraitError."""
        return decode_image(data)

    def samples_needed(self, frames: int) -> int:
        """Return how many samples the first `frames` frames of an utterance need."""
        return (frames + self.look_ahead_frames) * self._samples_per_frame

    def register(self, avatar: str, image: RgbImage) -> Sequence[str]:
        """Register the colour of the first pixel of an image (H, W, 3)."""
        self._colours[avatar] = tuple(int(value) for value in image[0, 0])
        return ()

    def unregister(self, avatar: str) -> None:
        """Remove a colour."""
        self._colours.pop(avatar, None)

    def preview(self, avatar: str) -> RgbImage:
        """Return a silent frame (H, W, 3)."""
        preview: RgbImage = self._paint(self._colour(avatar), [0.0])[0]
        return preview

    def open(self, avatar: str, preset: str) -> OpenedStream:
        """Create a stream with two silent frames."""
        stream = self.create_stream(avatar, preset, 0)
        return OpenedStream(stream, self._paint(stream.colour, [0.0, 0.0]))

    def create_stream(self, avatar: str, preset: str, seed: int) -> StubStream:
        """Create a stream; the seed changes nothing, because there is no noise."""
        colour = self._colour(avatar)
        if preset not in self.presets:
            raise UnknownPresetError(f"there is no preset {preset!r}, only {', '.join(self.presets)}")
        return StubStream(avatar, preset, preset, colour, np.zeros(0, np.float32))

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        """Sleep as long as a batch takes, then paint its windows."""
        self.batches.append(len(requests))
        seconds = self.seconds_per_window + self.seconds_per_frame * requests[0].frames
        if seconds:
            time.sleep(seconds)
        return [self._generate_window(request) for request in requests]

    def prefetch_motion_features(self, streams: Sequence[Stream]) -> None:
        """Do nothing: there are no motion features."""

    def device_state(self) -> DeviceState:
        """Return a device without memory."""
        return DeviceState("none")

    def snapshot_avatar(self, avatar: str) -> bytes:
        """Serialise a colour."""
        return pickle.dumps(self._colour(avatar))

    def restore_avatar(self, avatar: str, snapshot: bytes) -> None:
        """Register the colour of a snapshot."""
        self._colours[avatar] = pickle.loads(snapshot)  # noqa: S301  # written by `snapshot_avatar`

    def snapshot_stream(self, stream: Stream) -> bytes:
        """Serialise a stream with its audio."""
        own = _own_stream(stream)
        return pickle.dumps((own.avatar, own.preset, own.samples, own.first))

    def restore_stream(self, snapshot: bytes) -> StubStream:
        """Return the stream of a snapshot."""
        avatar, preset, samples, first = pickle.loads(snapshot)  # noqa: S301  # written by `snapshot_stream`
        return StubStream(avatar, preset, preset, self._colour(avatar), samples, first)

    def _generate_window(self, request: WindowRequest) -> WindowResult:
        stream, unit = _own_stream(request.stream), self._samples_per_frame
        samples = np.concatenate([stream.samples, request.samples])
        begin = (request.start - stream.first) * unit
        needed = self.samples_needed(request.start + request.frames)
        received = stream.first * unit + len(samples)
        if received < needed and not request.ended:
            raise ValueError(f"expected {needed} samples or an ended utterance, got {received}")
        ends = range(begin + unit, begin + (request.frames + 1) * unit, unit)
        levels = [loudness(samples[end - unit : end]) for end in ends]
        after = replace(stream, samples=samples[begin:], first=request.start)
        return WindowResult(after, self._paint(stream.colour, levels))

    def _colour(self, avatar: str) -> tuple[int, ...]:
        if avatar not in self._colours:
            raise UnknownAvatarError(f"there is no avatar {avatar!r}, only {', '.join(COLOURS)}")
        return self._colours[avatar]

    def _paint(self, colour: tuple[int, ...], levels: Sequence[float]) -> Frames:
        """Return one frame for every loudness, (F, H, W, 3)."""
        width, height = self.size
        row = np.array([colour] * width, np.uint8)
        frames = np.empty((len(levels), height, width, 3), np.uint8)
        frames[:] = row
        for frame, level in zip(frames, levels, strict=True):
            frame[height * 3 // 4 :, : round(level * width)] = 255
        return frames


def decode_image(data: bytes) -> RgbImage:
    """Return one pixel (1, 1, 3) whose colour follows from the bytes; nothing is decoded. Raises PortraitError."""
    if not data:
        raise PortraitError("image_empty", "expected a PNG or JPEG image; got 0 bytes")
    if not data.startswith(_SIGNATURES):
        raise PortraitError(
            "not_an_image", f"expected a PNG or JPEG image; got something that begins with {data[:8]!r}"
        )
    return np.frombuffer(hashlib.sha256(data).digest()[:3], np.uint8)[None, None]


def loudness(samples: Samples) -> float:
    """Return 0 for silence, 1 for a full-scale square wave, and at least 0.1 for any audio (n,) that is not silent."""
    rms = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    return 0.0 if rms < _SILENCE else max(0.1, min(1.0, rms))


def _own_stream(stream: Stream) -> StubStream:
    if not isinstance(stream, StubStream):
        raise TypeError(f"expected a stream of this engine, got {type(stream).__name__}")
    return stream
