"""Values and errors of the engine interface."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from ..errors import StatusError
from ..media.arrays import Frames, Samples


class EngineError(ValueError):
    """The engine refuses a request; the message may be shown to a client."""


class UnknownAvatarError(EngineError, StatusError):
    """No avatar of that name is registered."""

    status, code = HTTPStatus.NOT_FOUND, "unknown_avatar"


class BundledAvatarError(EngineError, StatusError):
    """A bundled avatar cannot be removed."""

    status, code = HTTPStatus.FORBIDDEN, "avatar_bundled"


class AvatarInUseError(EngineError, StatusError):
    """An avatar cannot be removed while it is in use."""

    status, code = HTTPStatus.CONFLICT, "avatar_in_use"


class UnknownPresetError(EngineError, StatusError):
    """The engine has no preset of that name."""

    status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_preset"


class OutOfMemoryError(RuntimeError):
    """The device has no memory for this batch; a smaller one may fit."""


class EngineLostError(RuntimeError):
    """The engine's process died or hung during a call and has been restarted; its streams can go on."""


class EngineGoneError(EngineLostError):
    """The engine is closed, or its process died too often to be restarted again."""


PortraitCode = Literal[
    "image_empty",
    "not_an_image",
    "image_too_large",
    "image_damaged",
    "image_colour",
    "no_face",
    "face_too_small",
    "image_unusable",
]


_PORTRAIT_STATUS = {
    "not_an_image": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "image_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class PortraitError(EngineError, StatusError):
    """An image cannot become an avatar.

    Attributes:
        code: The rule that the image breaks, for programs; the message is for people.
    """

    def __init__(self, code: PortraitCode, text: str) -> None:
        super().__init__(text)
        self.code: PortraitCode = code
        self.status = _PORTRAIT_STATUS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)

    def __reduce__(self) -> tuple[type[PortraitError], tuple[PortraitCode, str]]:
        return PortraitError, (self.code, str(self))  # by default an exception is pickled without its code


@dataclass(frozen=True, eq=False)
class Stream:
    """The state of one talking head between two windows: an immutable value, opaque to the server.

    Attributes:
        avatar: Name of the avatar that is animated.
        preset: Name of the preset that windows are sampled by.
        batch_key: Streams with equal keys may share a batch.
    """

    avatar: str
    preset: str
    batch_key: Hashable


@dataclass(frozen=True, eq=False)
class OpenedStream:
    """A new stream with its idle animation.

    Attributes:
        stream: The stream before its first window.
        idle: Frames (N, H, W, 3), N >= 1, of the silent face, to be played forwards and backwards.
    """

    stream: Stream
    idle: Frames


@dataclass(frozen=True, eq=False)
class WindowRequest:
    """Request for frames `start` to `start + frames` of an utterance.

    Attributes:
        stream: The stream that the previous window of the utterance returned.
        samples: Mono audio (n,) at ENGINE_SAMPLE_RATE that follows the samples of earlier requests.
        start: First frame; never before the end of the previous request, and beyond it where frames are skipped.
        frames: Number of frames.
        ended: Whether the samples are the last of the utterance; silence follows them.
    """

    stream: Stream
    samples: Samples
    start: int
    frames: int
    ended: bool


@dataclass(frozen=True)
class StageTimings:
    """Seconds that the stages of a batch took."""

    audio_encoding: float = 0.0
    denoising: float = 0.0
    decoding: float = 0.0


@dataclass(frozen=True, eq=False)
class WindowResult:
    """Result of one window.

    Attributes:
        stream: The stream after the window.
        frames: Frames (F, H, W, 3).
        timings: Stage timings of the batch that the window was in.
    """

    stream: Stream
    frames: Frames
    timings: StageTimings = field(default_factory=StageTimings)


@dataclass(frozen=True)
class DeviceState:
    """The device and its memory.

    Attributes:
        name: `cpu`, `cuda:0` ...
        memory: Bytes that the engine holds; None where the device does not count them.
        memory_limit: Bytes that the device has; None where it does not tell.
    """

    name: str
    memory: int | None = None
    memory_limit: int | None = None


@dataclass(frozen=True)
class EngineHealth:
    """EngineHealth of an engine.

    Attributes:
        state: `restarting`: calls block until the engine is back; `lost`: it does not come back.
        restarts: Number of restarts so far.
    """

    state: Literal["running", "restarting", "lost"] = "running"
    restarts: int = 0
