"""What the server knows of a model: numpy in, numpy out. `engines.stub_engine` and `engines.model_engine` provide it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import StatusError

Frames = NDArray[np.uint8]
"""RGB (F, H, W, 3)."""
Picture = NDArray[np.uint8]
"""RGB (H, W, 3)."""
Samples = NDArray[np.float32]
HEARING_RATE = 16_000
"""Samples a second of the mono audio that engines hear."""


class EngineError(ValueError):
    """The engine cannot do what it was asked for; its message may be shown to a client."""


class UnknownAvatarError(EngineError, StatusError):
    """No avatar has the requested id."""

    status, code = HTTPStatus.NOT_FOUND, "unknown_avatar"


class BundledAvatarError(EngineError, StatusError):
    """A bundled avatar cannot be removed."""

    status, code = HTTPStatus.FORBIDDEN, "avatar_bundled"


class AvatarInUseError(EngineError, StatusError):
    """An avatar that a session or a clip uses cannot be removed."""

    status, code = HTTPStatus.CONFLICT, "avatar_in_use"


class UnknownPresetError(EngineError, StatusError):
    """No preset has the requested name."""

    status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_preset"


class OutOfMemoryError(RuntimeError):
    """The device has no room for this; a smaller batch may fit."""


class EngineLostError(RuntimeError):
    """The engine's process ended or hung at this, and is there again; the streams can go on."""


class EngineGoneError(EngineLostError):
    """The engine's process was lost too often, or has been closed: there is no engine any more."""


PortraitCode = Literal[
    "picture_empty",
    "not_a_picture",
    "picture_too_large",
    "picture_damaged",
    "picture_colour",
    "no_face",
    "face_too_small",
    "picture_unusable",
]
_PORTRAIT_STATUS = {
    "not_a_picture": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "picture_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class PortraitError(EngineError, StatusError):
    """A picture that cannot become an avatar. code: the rule that it breaks, for programs; the message is for people."""

    def __init__(self, code: PortraitCode, text: str) -> None:
        super().__init__(text)
        self.code: PortraitCode = code
        self.status = _PORTRAIT_STATUS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)

    def __reduce__(self) -> tuple[type[PortraitError], tuple[PortraitCode, str]]:
        return PortraitError, (self.code, str(self))  # an exception is pickled without its code otherwise


class Stream(Protocol):
    """What one talking head remembers: a value, opaque to the server."""

    @property
    def batch_key(self) -> Hashable:
        """Streams of equal keys may be generated in one batch."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A stream at its beginning, and a few frames (N, H, W, 3), N >= 1, of the face that says nothing, to be shown to and fro."""

    stream: Stream
    idle: Frames


@dataclass(frozen=True, eq=False)
class Request:
    """Frames `start` to `start + frames` of an utterance.

    samples: mono at 16 kHz, those that follow what earlier requests of the utterance brought; ended: they are its last, and
    silence follows. `start` is never smaller than where the request before it ended; it is larger where frames came too late
    to be shown and are skipped.
    """

    stream: Stream
    samples: Samples
    start: int
    frames: int
    ended: bool


@dataclass(frozen=True)
class Work:
    """Seconds that a window took: hearing (audio features), denoising, decoding."""

    hearing: float = 0.0
    denoising: float = 0.0
    decoding: float = 0.0


@dataclass(frozen=True, eq=False)
class Made:
    """The stream afterwards, and its frames. work: of the batch that the window was in."""

    stream: Stream
    frames: Frames
    work: Work = field(default_factory=Work)


@dataclass(frozen=True)
class DeviceState:
    """name: cpu, cuda:0 ... memory: bytes of it that the engine holds; memory_limit: that it has; None where nobody counts them."""

    name: str
    memory: int | None = None
    memory_limit: int | None = None


@dataclass(frozen=True)
class Health:
    """restarting: calls take as long as it takes to bring the engine back; lost: it does not come back. restarts: until now."""

    state: Literal["running", "restarting", "lost"] = "running"
    restarts: int = 0


RUNNING = Health()


class Engine(Protocol):
    """A model on its device. Not thread-safe, but for `read_picture`, `health`, `patience` and `close`: one thread calls it."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, both even."""

    @property
    def fps(self) -> int: ...
    @property
    def avatars(self) -> Sequence[str]:
        """Names of those that came with it, the default first."""

    @property
    def presets(self) -> Sequence[str]:
        """Names, the default first."""

    def read_picture(self, data: bytes) -> Picture:
        """A picture file, judged by its content alone. Any thread may call it. Raises PortraitError."""

    def register(self, avatar: str, picture: Picture) -> Sequence[str]:
        """Make an avatar under a name that is not taken; returns what its owner should know. Raises PortraitError."""

    def forget(self, avatar: str) -> None:
        """Drop an avatar that was registered, if it is there; its open streams live on."""

    def preview(self, avatar: str) -> Picture:
        """The portrait as the model sees it, framed. Raises UnknownAvatarError."""

    def open(self, avatar: str, preset: str) -> Opened:
        """Raises UnknownAvatarError, UnknownPresetError."""

    def begin(self, avatar: str, preset: str, seed: int) -> Stream:
        """As `open`, without what is shown in silence; the same seed gives the same frames."""

    def samples_needed(self, frames: int) -> int:
        """How much audio, from an utterance's first sample on, its first `frames` frames need; grows with `frames`."""

    def generate(self, requests: Sequence[Request]) -> list[Made]:
        """One window of each stream, all of one batch key and one number of frames, in one batch.

        Raises OutOfMemoryError, EngineLostError; the streams are what they were.
        """

    def device_state(self) -> DeviceState: ...

    def look_back(self, streams: Sequence[Stream]) -> None:
        """Compute now what the next windows of these streams need and what no sound has a part in; it changes no frame."""

    @property
    def health(self) -> Health:
        """At once, whatever the engine does. An engine that shares the server's process is running while that is."""

    @property
    def patience(self) -> float:
        """Seconds after which the call under way is ended, at once like `health`; 0 where none is, or nothing would end it."""

    def check(self) -> None:
        """See that the engine answers, and bring it back if not: called now and then. Raises EngineLostError."""

    def close(self) -> None:
        """Let go of the device; a call under way may end in EngineGoneError."""


class Restorable(Engine, Protocol):
    """An engine that another one, made alike in another process, can replace: what it knows can be kept as bytes, and brought back
    gives the same frames. Only what was kept by such an engine may be restored: it is unpickled.
    """

    @property
    def picture_reader(self) -> Callable[[bytes], Picture]:
        """`read_picture` without the engine: it can be pickled, and run where there is no model."""

    def keep_avatar(self, avatar: str) -> bytes:
        """An avatar that was opened or registered."""

    def restore_avatar(self, avatar: str, kept: bytes) -> None: ...

    def keep(self, stream: Stream) -> bytes: ...

    def restore(self, avatar: str, preset: str, kept: bytes) -> Stream:
        """Raises UnknownAvatarError, UnknownPresetError."""
