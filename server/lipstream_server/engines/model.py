"""The engine that runs a model of lipstream_models, which is imported inside functions: the server itself never loads torch."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from ..media.arrays import Frames, RgbImage
from .base import (
    DeviceState,
    OpenedStream,
    OutOfMemoryError,
    StageTimings,
    Stream,
    UnknownAvatarError,
    UnknownPresetError,
    WindowRequest,
    WindowResult,
)
from .interface import InProcessEngine
from .model_audio import (
    CONTEXT_FRAMES,
    drop_used,
    encode_request,
    window_features,
)
from .model_images import decode_image, portrait_error
from .model_settings import ModelSettings
from .model_stream import ModelStream, new_stream, own_stream

if TYPE_CHECKING:
    from lipstream_models.audio.encoder import LiveEncoder
    from lipstream_models.model import Model
    from lipstream_models.networks.conditions import SessionConditions
    from lipstream_models.pipeline import EncodedPortrait, PipelineState, Sampling
    from lipstream_models.portrait import FaceLandmarker, Portrait

DEFAULT_AVATAR = "amara"
DEFAULT_PRESET = "realtime"


class ModelEngine(InProcessEngine):
    """A `RestorableEngine` around a pipeline. Bundled portraits are registered when they are first used."""

    def __init__(self, model: Model, settings: ModelSettings) -> None:
        from lipstream_models.bundled import avatar_names
        from lipstream_models.pipeline import Sampling, TalkingHeadPipeline

        self._pipeline = TalkingHeadPipeline(model)
        self.name = model.name
        self.size = (model.size, model.size)
        self.fps = model.fps
        self.avatars: Sequence[str] = _put_first(DEFAULT_AVATAR, avatar_names())
        self._plans: dict[str, str] = {}
        if settings.plan is not None:
            self._plans[Sampling.for_model(model, str(settings.plan)).preset] = str(settings.plan)
        presets = _put_first(DEFAULT_PRESET, self._pipeline.presets)
        self.presets: Sequence[str] = (*self._plans, *(name for name in presets if name not in self._plans))
        self._settings = settings
        self._audio_encoder: LiveEncoder = model.audio.live()
        self._portraits: dict[str, EncodedPortrait] = {}
        # Conditions of restored streams: those of one avatar, preset and seed share them.
        self._conditions: WeakValueDictionary[tuple[EncodedPortrait, str, int], SessionConditions] = (
            WeakValueDictionary()
        )
        # States with the motion features of their next window, for as long as somebody holds the state.
        self._prefetched: WeakKeyDictionary[PipelineState, PipelineState] = WeakKeyDictionary()
        self._landmarker: FaceLandmarker | None = None

    @property
    def image_decoder(self) -> Callable[[bytes], RgbImage]:
        """`decode_image` with the limits of the model."""
        return partial(decode_image, limits=self._pipeline.model.portrait.limits)

    def decode_image(self, data: bytes) -> RgbImage:
        """Decode an image file to (H, W, 3). Raises PortraitError."""
        return self.image_decoder(data)

    def samples_needed(self, frames: int) -> int:
        """Return how many samples the first `frames` frames of an utterance need."""
        return self._audio_encoder.grid.samples_for(frames + CONTEXT_FRAMES)

    def register(self, avatar: str, image: RgbImage) -> Sequence[str]:
        """Register an avatar from an image (H, W, 3); return the notes on its portrait. Raises PortraitError."""
        from lipstream_models.portrait import ImageError

        try:
            portrait = self._prepare(image)
        except ImageError as error:
            raise portrait_error(error) from error
        self._portraits[avatar] = self._pipeline.encode_portrait(portrait)
        return portrait.notes

    def unregister(self, avatar: str) -> None:
        """Drop the encoded portrait of an avatar."""
        self._portraits.pop(avatar, None)

    def preview(self, avatar: str) -> RgbImage:
        """Return the framed portrait (H, W, 3)."""
        encoded = self._portraits.get(avatar)
        # Framing a portrait takes milliseconds; encoding it takes much longer and may never be needed.
        return self._bundled_portrait(avatar).image if encoded is None else encoded.portrait.image

    def open(self, avatar: str, preset: str) -> OpenedStream:
        """Create a stream with the configured seed and render its idle animation."""
        stream = self.create_stream(avatar, preset, self._settings.seed)
        return OpenedStream(stream, self._idle_frames(stream))

    def create_stream(self, avatar: str, preset: str, seed: int) -> ModelStream:
        """Create a stream whose noise has this seed."""
        portrait, sampling = self._portrait(avatar), self._sampling(preset, seed)
        return new_stream(avatar, preset, self._pipeline.initial_state(portrait, sampling))

    def generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        """Generate one window of each stream in one batch. Raises OutOfMemoryError."""
        from lipstream_models.device.out_of_memory import is_out_of_memory

        try:
            return self._generate(requests)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemoryError(
                f"no room for {len(requests)} windows of {requests[0].frames} frames: {error}"
            ) from error

    def prefetch_motion_features(self, streams: Sequence[Stream]) -> None:
        """Compute the motion features of the next windows of these streams."""
        for stream in streams:
            self._with_motion_features(own_stream(stream).state)

    def _with_motion_features(self, state: PipelineState) -> PipelineState:
        """Return the state with its motion features, which are computed once: streams begin at a shared state."""
        if state not in self._prefetched:
            self._prefetched[state] = self._pipeline.prefetch_motion_features(state)
        return self._prefetched[state]

    def device_state(self) -> DeviceState:
        """Return the torch device and its memory."""
        from lipstream_models.device.allocator import device_memory

        device = self._pipeline.model.device
        return DeviceState(str(device), *device_memory(device))

    def snapshot_avatar(self, avatar: str) -> bytes:
        """Serialise the framed portrait and its landmarks: a few hundred kilobytes."""
        return pickle.dumps(self._portrait(avatar).portrait)

    def restore_avatar(self, avatar: str, snapshot: bytes) -> None:
        """Encode the portrait of a snapshot."""
        portrait = pickle.loads(snapshot)  # noqa: S301  # written by `snapshot_avatar`
        self._portraits[avatar] = self._pipeline.encode_portrait(portrait)

    def snapshot_stream(self, stream: Stream) -> bytes:
        """Serialise the seed, the motion frames as latents, and the encoded audio; avatar and preset imply the rest."""
        own = own_stream(stream)
        motion = own.state.motion.float().cpu().numpy()  # any precision fits into float32
        seed, windows = own.state.sampling.seed, own.state.windows
        return pickle.dumps((own.avatar, own.preset, seed, motion, windows, own.audio))

    def restore_stream(self, snapshot: bytes) -> ModelStream:
        """Return the stream of a snapshot."""
        avatar, preset, seed, motion, windows, audio = pickle.loads(snapshot)  # noqa: S301  # written by `snapshot_stream`
        portrait, sampling = self._portrait(avatar), self._sampling(preset, seed)
        key = (portrait, preset, seed)
        state = self._pipeline.restore_state(portrait, sampling, motion, windows, self._conditions.get(key))
        self._conditions[key] = state.session
        return replace(new_stream(avatar, preset, state), audio=audio)

    def _generate(self, requests: Sequence[WindowRequest]) -> list[WindowResult]:
        from lipstream_models.device.timer import StageTimer

        watch = StageTimer(self._pipeline.model.device)
        streams = [own_stream(request.stream) for request in requests]
        audio = [
            encode_request(
                self._audio_encoder,
                stream.audio,
                request,
                self.samples_needed(request.start + request.frames),
            )
            for stream, request in zip(streams, requests, strict=True)
        ]
        windows = [
            window_features(encoded, request) for encoded, request in zip(audio, requests, strict=True)
        ]
        watch.mark("audio_encoding")
        states = [self._with_motion_features(stream.state) for stream in streams]
        results = self._pipeline.generate_windows(list(zip(states, windows, strict=True)), watch)
        took = watch.seconds()
        timings = StageTimings(
            took["audio_encoding"], took["preparing"] + took["denoising"], took["decoding"]
        )
        return [
            WindowResult(replace(stream, state=state, audio=drop_used(encoded, request)), frames, timings)
            for stream, request, encoded, (state, frames) in zip(
                streams, requests, audio, results, strict=True
            )
        ]

    def _idle_frames(self, stream: ModelStream) -> Frames:
        """Render what the face does in silence, frames (N, H, W, 3)."""
        length = self._pipeline.model.defaults.window
        silence = np.zeros(0, np.float32)
        rendered = []
        current: Stream = stream
        for window in range(self._settings.idle_windows):
            result = self.generate([WindowRequest(current, silence, window * length, length, True)])[0]
            current = result.stream
            rendered.append(result.frames)
        return np.concatenate(rendered)

    def _sampling(self, preset: str, seed: int) -> Sampling:
        from lipstream_models.pipeline import Sampling

        if preset not in self.presets:
            raise UnknownPresetError(f"there is no preset {preset!r}, only {', '.join(self.presets)}")
        steps, guidance = self._settings.steps, self._settings.guidance
        return Sampling.for_model(
            self._pipeline.model, self._plans.get(preset, preset), steps, guidance, seed
        )

    def _portrait(self, avatar: str) -> EncodedPortrait:
        if avatar not in self._portraits:
            self._portraits[avatar] = self._pipeline.encode_portrait(self._bundled_portrait(avatar))
        return self._portraits[avatar]

    def _bundled_portrait(self, avatar: str) -> Portrait:
        from lipstream_models.bundled import avatar_path

        if avatar not in self.avatars:
            raise UnknownAvatarError(f"there is no avatar {avatar!r}, only {', '.join(self.avatars)}")
        return self._prepare(avatar_path(avatar))

    def _prepare(self, source: Path | RgbImage) -> Portrait:
        from lipstream_models.portrait import FaceLandmarker, prepare_portrait

        self._landmarker = self._landmarker or FaceLandmarker()
        return prepare_portrait(source, self._landmarker, self._pipeline.model.portrait)


def _put_first(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, with this one moved to the front if it is among them."""
    return tuple(sorted(names, key=lambda each: each != name))
