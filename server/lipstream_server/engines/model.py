"""The real engine behind the server's seam: the composition root of the service.

The models room is imported inside functions, so that the server itself never loads torch.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from ..observability.logs import log_event
from .base import (
    RUNNING,
    DeviceState,
    Made,
    Opened,
    OutOfMemoryError,
    Picture,
    Request,
    Stream,
    UnknownAvatarError,
    UnknownPresetError,
    Work,
)
from .model_images import portrait_error, read_picture

if TYPE_CHECKING:
    from lipstream_models.audio import LiveEncoder
    from lipstream_models.audio.sliding import SlidingState
    from lipstream_models.engine import Avatar, Engine, Sampling
    from lipstream_models.engine import Stream as Talking
    from lipstream_models.model import Model
    from lipstream_models.networks.conditions import SessionConditions
    from lipstream_models.portrait import FaceLandmarker, Portrait

log = logging.getLogger(__name__)

Rows = NDArray[np.float32]
DEFAULT_AVATAR = "amara"
DEFAULT_PRESET = "realtime"
MODULES = (
    "lipstream_models.bundled",
    "lipstream_models.engine",
    "lipstream_models.checkpoints.hallo",
    "lipstream_models.device.out_of_memory",
    "lipstream_models.portrait",
    "lipstream_models.device.allocator",
    "lipstream_models.device.selection",
    "lipstream_models.device.timer",
)
"""What a process that makes engines imports beforehand, by name: here nothing is loaded for it."""
_CONTEXT = 2  # frames of audio on either side that a frame is made from


@dataclass(frozen=True)
class ModelSettings:
    """steps, guidance: None for the model's own. plan: a plan's JSON file, which then is the default preset.

    idle_windows: windows of silence that are shown while nobody speaks.
    """

    model: Path | None = None
    device: str = "auto"
    plan: Path | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int = 0
    idle_windows: int = 2


@dataclass(frozen=True, eq=False)
class Hearing:
    """What an utterance has been heard of. heard: samples; rows: audio features from row number `first` on."""

    state: SlidingState
    heard: int
    rows: Rows
    first: int


@dataclass(frozen=True, eq=False)
class ModelStream:
    """hearing: None before the first window of an utterance."""

    talking: Talking
    batch_key: Hashable
    hearing: Hearing | None = None


class ModelEngine:
    """The bundled portraits are registered when they are first asked for, others by `register`."""

    health = RUNNING
    patience = 0.0

    def __init__(self, model: Model, settings: ModelSettings) -> None:
        from lipstream_models.bundled import avatar_names
        from lipstream_models.engine import Engine, Sampling

        self._engine: Engine = Engine(model)
        self.name = model.name
        self.size = (model.size, model.size)
        self.fps = model.fps
        self.avatars: Sequence[str] = _first(DEFAULT_AVATAR, avatar_names())
        self._own: dict[str, str] = {}
        if settings.plan is not None:
            self._own[Sampling.of(model, str(settings.plan)).preset] = str(settings.plan)
        named = _first(DEFAULT_PRESET, self._engine.presets)
        self.presets: Sequence[str] = (*self._own, *(name for name in named if name not in self._own))
        self._settings = settings
        self._ears: LiveEncoder = model.audio.live()
        self._registered: dict[str, Avatar] = {}
        self._sessions: WeakValueDictionary[tuple[Avatar, str, int], SessionConditions] = (
            WeakValueDictionary()
        )
        self._landmarker: FaceLandmarker | None = None

    def open(self, avatar: str, preset: str) -> Opened:
        stream = self.begin(avatar, preset, self._settings.seed)
        return Opened(stream, self._idle(stream))

    def begin(self, avatar: str, preset: str, seed: int) -> ModelStream:
        known, sampling = self._find(avatar), self._sampling(preset, seed)
        return _model_stream(self._engine.open(known, sampling))

    def keep(self, stream: Stream) -> bytes:
        """Its noise, its last frames as latents, and what it has heard; all else follows from avatar and preset."""
        own = _stream(stream)
        talking = own.talking
        motion = talking.motion.float().cpu().numpy()  # any precision fits into float32
        return pickle.dumps((talking.sampling.seed, motion, talking.windows, own.hearing))

    def restore(self, avatar: str, preset: str, kept: bytes) -> ModelStream:
        seed, motion, windows, hearing = pickle.loads(kept)  # noqa: S301  # what `keep` made
        known, sampling = self._find(avatar), self._sampling(preset, seed)
        key = (known, preset, seed)
        talking = self._engine.resume(known, sampling, motion, windows, self._sessions.get(key))
        self._sessions[key] = talking.session
        return replace(_model_stream(talking), hearing=hearing)

    def keep_avatar(self, avatar: str) -> bytes:
        """The portrait as it was framed and looked at, a few hundred kilobytes."""
        return pickle.dumps(self._find(avatar).portrait)

    def restore_avatar(self, avatar: str, kept: bytes) -> None:
        self._registered[avatar] = self._engine.register(pickle.loads(kept))  # noqa: S301  # what `keep_avatar` made

    @property
    def picture_reader(self) -> Callable[[bytes], Picture]:
        return partial(read_picture, limits=self._engine.model.portrait.limits)

    def read_picture(self, data: bytes) -> Picture:
        return self.picture_reader(data)

    def check(self) -> None:
        """It shares the server's process."""

    def close(self) -> None:
        """The device is let go with the process."""

    def register(self, avatar: str, picture: Picture) -> Sequence[str]:
        from lipstream_models.portrait import PictureError

        try:
            portrait = self._prepare(picture)
        except PictureError as error:
            raise portrait_error(error) from error
        self._registered[avatar] = self._engine.register(portrait)
        return portrait.notes

    def forget(self, avatar: str) -> None:
        self._registered.pop(avatar, None)

    def preview(self, avatar: str) -> Picture:
        known = self._registered.get(avatar)
        # Framing a portrait costs milliseconds, registering it much more, and may never be needed.
        return self._bundled(avatar).image if known is None else known.portrait.image

    def samples_needed(self, frames: int) -> int:
        return self._ears.grid.samples_for(frames + _CONTEXT)

    def generate(self, requests: Sequence[Request]) -> list[Made]:
        from lipstream_models.device.out_of_memory import is_out_of_memory

        try:
            return self._generate(requests)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(
                f"no room for {len(requests)} windows of {requests[0].frames} frames: {error}"
            ) from error

    def look_back(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            self._engine.look_back(_stream(stream).talking)

    def _generate(self, requests: Sequence[Request]) -> list[Made]:
        from lipstream_models.device.timer import Stopwatch

        watch = Stopwatch(self._engine.model.device)
        heard = [self._hear(request) for request in requests]
        streams = [_own(request).talking for request in requests]
        windows = [
            _window(hearing, request.start, request.frames)
            for hearing, request in zip(heard, requests, strict=True)
        ]
        watch.mark("hearing")
        made = self._engine.generate(list(zip(streams, windows, strict=True)), watch)
        took = watch.seconds()
        work = Work(took["hearing"], took["preparing"] + took["denoising"], took["decoding"])
        return [
            Made(replace(_own(request), talking=talking, hearing=_forget(hearing, request)), frames, work)
            for request, hearing, (talking, frames) in zip(requests, heard, made, strict=True)
        ]

    def device_state(self) -> DeviceState:
        from lipstream_models.device.allocator import device_memory

        device = self._engine.model.device
        held, there = device_memory(device)
        return DeviceState(str(device), held, there)

    def _hear(self, request: Request) -> Hearing:
        """The audio features up to the end of the window; where the utterance has ended, silence follows it."""
        hearing = _own(request).hearing
        stream = self._ears.stream()
        if hearing is not None:
            stream.state = hearing.state
        heard = (hearing.heard if hearing else 0) + len(request.samples)
        missing = self.samples_needed(request.start + request.frames) - heard
        if missing > 0 and not request.ended:
            raise ValueError(f"{missing} samples are missing for a window of an utterance that has not ended")
        rows = stream.push(np.pad(request.samples, (0, max(0, missing))))
        if hearing is not None:
            rows = np.concatenate([hearing.rows, rows])
        return Hearing(stream.state, heard + max(0, missing), rows, hearing.first if hearing else 0)

    def _idle(self, stream: ModelStream) -> NDArray[np.uint8]:
        """What the face does in silence."""
        length = self._engine.model.defaults.window
        shown = []
        now = stream
        for window in range(self._settings.idle_windows):
            start = window * length
            silence = np.zeros(0, np.float32)
            made = self.generate([Request(now, silence, start, length, True)])[0]
            now = _stream(made.stream)
            shown.append(made.frames)
        return np.concatenate(shown)

    def _sampling(self, preset: str, seed: int) -> Sampling:
        from lipstream_models.engine import Sampling

        if preset not in self.presets:
            raise UnknownPresetError(f"there is no preset {preset!r}, only {', '.join(self.presets)}")
        settings = self._settings
        chosen = self._own.get(preset, preset)
        return Sampling.of(self._engine.model, chosen, settings.steps, settings.guidance, seed)

    def _find(self, name: str) -> Avatar:
        if name not in self._registered:
            self._registered[name] = self._engine.register(self._bundled(name))
        return self._registered[name]

    def _bundled(self, name: str) -> Portrait:
        from lipstream_models.bundled import avatar_path

        if name not in self.avatars:
            raise UnknownAvatarError(f"there is no avatar {name!r}, only {', '.join(self.avatars)}")
        return self._prepare(avatar_path(name))

    def _prepare(self, source: Path | Picture) -> Portrait:
        from lipstream_models.portrait import FaceLandmarker, prepare_portrait

        self._landmarker = self._landmarker or FaceLandmarker()
        return prepare_portrait(source, self._landmarker, self._engine.model.portrait)


def load_engine(settings: ModelSettings) -> ModelEngine:
    """The bundled model, or that of a directory of Hallo weights. Raises LipstreamError."""
    from lipstream_models.bundled import load_bundled
    from lipstream_models.checkpoints.hallo import load_hallo
    from lipstream_models.device.allocator import keep_freed_memory
    from lipstream_models.device.selection import describe_device, select_device

    device = select_device(settings.device)
    log_event(log, "device selected", device=describe_device(device))
    keep_freed_memory()
    if settings.model is None:
        return ModelEngine(load_bundled(device), settings)
    return ModelEngine(load_hallo(settings.model, device), settings)


def _model_stream(talking: Talking) -> ModelStream:
    sampling = talking.sampling
    return ModelStream(talking, (sampling.preset, sampling.steps, sampling.guidance))


def _window(hearing: Hearing, start: int, frames: int) -> Rows:
    """(frames, 5, blocks, channels): each frame with two neighbours on either side; the first stands in for those before it."""
    index = start + np.arange(frames)[:, None] + np.arange(-_CONTEXT, _CONTEXT + 1)
    window: Rows = hearing.rows[np.maximum(index, 0) - hearing.first]
    return window


def _forget(hearing: Hearing, request: Request) -> Hearing:
    """Only what the next window can need is kept."""
    keep = max(hearing.first, request.start + request.frames - _CONTEXT)
    return replace(hearing, rows=hearing.rows[keep - hearing.first :].copy(), first=keep)


def _own(request: Request) -> ModelStream:
    return _stream(request.stream)


def _stream(stream: object) -> ModelStream:
    if not isinstance(stream, ModelStream):
        raise TypeError(f"expected a stream of this engine, got {type(stream).__name__}")
    return stream


def _first(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names, this one before the others if it is among them."""
    return tuple(sorted(names, key=lambda each: each != name))
