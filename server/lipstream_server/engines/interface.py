"""The engine interface: what the server knows of a model. Arrays in, arrays out, no torch.

A new method is declared in `Engine` and written in `stub.py` and `model.py`; `remote/` forwards it by itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from ..media.arrays import RgbImage
from .base import (
    DeviceState,
    EngineHealth,
    OpenedStream,
    Stream,
    WindowRequest,
    WindowResult,
)


class EngineInfo(Protocol):
    """Constant properties of an engine. Any thread may read them."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels, both even."""

    @property
    def fps(self) -> int:
        """Frames per second."""

    @property
    def avatars(self) -> Sequence[str]:
        """Names of the bundled avatars, the default first."""

    @property
    def presets(self) -> Sequence[str]:
        """Names of the presets, the default first."""

    def samples_needed(self, frames: int) -> int:
        """Return how many samples from the start of an utterance its first `frames` frames need; monotonic in `frames`."""

    def decode_image(self, data: bytes) -> RgbImage:
        """Decode an image file, recognised by its content, to (H, W, 3). Any thread may call it.

        Raises:
            PortraitError: The file is no usable image.
        """


class Engine(EngineInfo, Protocol):
    """A model on its device. One thread calls these methods.

    Arguments and results have to be picklable; streams and large arrays in them reach another process as references.
    """

    @abstractmethod
    def register(self, avatar: str, image: RgbImage) -> Sequence[str]:
        """Register an avatar under an unused name from an image (H, W, 3); return notes for its owner.

        Raises:
            PortraitError: The image has no usable face.
        """

    @abstractmethod
    def unregister(self, avatar: str) -> None:
        """Remove a registered avatar, if there is one of that name; its open streams live on."""

    @abstractmethod
    def preview(self, avatar: str) -> RgbImage:
        """Return the framed portrait (H, W, 3) as the model sees it.

        Raises:
            UnknownAvatarError: No avatar of that name is registered.
        """

    @abstractmethod
    def open(self, avatar: str, preset: str) -> OpenedStream:
        """Create a stream together with its idle animation.

        Raises:
            UnknownAvatarError: No avatar of that name is registered.
            UnknownPresetError: There is no such preset.
        """

    @abstractmethod
    def create_stream(self, avatar: str, preset: str, seed: int) -> Stream:
        """Create a stream without idle animation; equal seeds give equal frames. Raises as `open` does."""

    @abstractmethod
    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        """Generate one window of each stream in one batch: equal batch keys, equal numbers of frames.

        Raises:
            OutOfMemoryError: The batch does not fit; the streams are unchanged.
            EngineLostError: The engine had to be restarted; the streams are unchanged.
        """

    @abstractmethod
    def prefetch_motion_features(self, streams: Sequence[Stream]) -> None:
        """Compute what the next windows of these streams need besides audio. Changes no frame."""

    @abstractmethod
    def device_state(self) -> DeviceState:
        """Return the device and its memory use."""


class SupervisedEngine(Engine, Protocol):
    """An engine with a life cycle: what the server runs on."""

    @property
    def health(self) -> EngineHealth:
        """Current health. Never blocks; any thread may read it."""

    @property
    def call_timeout(self) -> float:
        """Seconds after which the call in progress is aborted; 0 without such a call or limit. Never blocks."""

    def check(self) -> None:
        """Make sure that the engine answers, and restart it if it does not.

        Raises:
            EngineLostError: It could not be brought back.
        """

    def close(self) -> None:
        """Release the device. Any thread may call it; a call in progress may end in EngineGoneError."""


class RestorableEngine(Engine, Protocol):
    """An engine whose avatars and streams can be restored in another process from snapshots, with equal frames.

    Snapshots are unpickled: restore only what such an engine has written.
    """

    @property
    def image_decoder(self) -> Callable[[bytes], RgbImage]:
        """`decode_image` as a picklable function that needs no model."""

    def snapshot_avatar(self, avatar: str) -> bytes:
        """Serialise an avatar. Raises UnknownAvatarError."""

    def restore_avatar(self, avatar: str, snapshot: bytes) -> None:
        """Register an avatar from its snapshot."""

    def snapshot_stream(self, stream: Stream) -> bytes:
        """Serialise a stream, including the names of its avatar and preset."""

    def restore_stream(self, snapshot: bytes) -> Stream:
        """Return the stream of a snapshot. Raises UnknownAvatarError, UnknownPresetError."""


class InProcessEngine:
    """Life cycle of an engine that shares the server's process: it is healthy as long as the server is."""

    health = EngineHealth()
    call_timeout = 0.0

    def check(self) -> None:
        """Do nothing: the engine answers while the server does."""

    def close(self) -> None:
        """Do nothing: the device is released with the process."""
