"""The pipeline: a portrait and audio features in, frames out, one window after the other.

State is a value: a `PipelineState` holds everything that one stream remembers. It goes into `generate_windows`, and a new one
comes out. Streams that are denoised in one batch do not influence each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.plan_json import from_json
from lipstream_accel.presets import PRESETS, preset
from lipstream_accel.sampling import sample
from lipstream_accel.schedule import DDIMSchedule

from .conditioning import (
    IdentityTokens,
    build_session_conditions,
    build_window_conditions,
    identity_tokens,
    motion_features,
)
from .device.timer import Stopwatch
from .errors import LipstreamError
from .model import Model
from .networks.conditions import Conditions, SessionConditions, join
from .portrait import Portrait
from .scheduler import ddim_schedule

Frames = NDArray[np.uint8]


class SamplingError(LipstreamError):
    """A sampling setting is out of its range."""


@dataclass(frozen=True)
class Sampling:
    """How a stream is denoised. guidance 1 or less switches guidance off; seed decides the noise of every window.

    own: a plan that is no preset; it has the preset's name and number of steps.
    """

    preset: str = "exact"
    steps: int = 20
    guidance: float = 2.0
    seed: int = 0
    own: Plan | None = None

    @classmethod
    def of(
        cls,
        model: Model,
        preset: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = 0,
    ) -> Sampling:
        """With the model's own values where none are given. preset: a name, or a plan's JSON file (`lipstream tune`)."""
        preset = preset or model.defaults.preset
        own = read_plan(Path(preset)) if preset.endswith(".json") else None
        if own is not None and steps not in (None, own.steps):
            raise SamplingError(f"{preset} is a plan of {own.steps} steps; leave --steps out, got {steps}")
        return cls(
            preset if own is None else own.name,
            own.steps if own is not None else model.defaults.steps_for(preset) if steps is None else steps,
            model.defaults.guidance if guidance is None else guidance,
            seed,
            own,
        )

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise SamplingError(f"steps must be between 1 and 1000, got {self.steps}")
        if not 0 <= self.guidance <= 30:
            raise SamplingError(f"guidance must be between 0 and 30, got {self.guidance}")
        if not 0 <= self.seed < 2**63:
            raise SamplingError(f"seed must be between 0 and 2**63 - 1, got {self.seed}")

    def plan(self) -> Plan:
        if self.own is not None:
            return self.own
        try:
            return preset(self.preset, self.steps)
        except ValueError as error:
            raise SamplingError(str(error)) from error


def read_plan(path: Path) -> Plan:
    """A plan that `lipstream tune` or `plan_json.to_json` wrote. Raises SamplingError, or OSError where there is no file."""
    try:
        return from_json(path.read_text())
    except ValueError as error:
        raise SamplingError(f"{path}: {error}") from error


@dataclass(frozen=True, eq=False)
class EncodedPortrait:
    """A registered portrait: what is computed once for all its streams. picture: (1, 3, H, W) in [-1, 1]; source: its latents
    (1, C, h, w); foreground: indices (L,) of the face's tokens at the finest level.
    """

    portrait: Portrait
    picture: Tensor
    source: Tensor
    identity: IdentityTokens
    region: Tensor
    masks: tuple[Tensor, ...]
    foreground: Tensor


@dataclass(frozen=True, eq=False)
class PipelineState:
    """What one stream remembers. motion: (1, M, C, h, w) latents of its last frames; windows: how many it has made;
    motion_features: reference features of `motion` by layer, where they were prefetched.
    """

    avatar: EncodedPortrait
    sampling: Sampling
    session: SessionConditions
    motion: Tensor
    windows: int = 0
    motion_features: Mapping[str, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class SamplingInputs:
    """What a batch of windows is sampled from: arguments of `lipstream_accel.sampling.sample`."""

    schedule: DDIMSchedule
    noise: Tensor
    conditions: Conditions


class TalkingHeadPipeline:
    """Holds a model on its device. Not thread-safe: one thread owns the device."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def presets(self) -> tuple[str, ...]:
        """Names of the ways to sample."""
        return PRESETS

    @torch.inference_mode()
    def encode_portrait(self, portrait: Portrait) -> EncodedPortrait:
        """Encodes a portrait that was prepared with this model's settings."""
        size = self.model.size
        if portrait.image.shape != (size, size, 3):
            raise LipstreamError(f"expected a portrait of {size} x {size} pixels, got {portrait.image.shape}")
        identify = self.model.identify
        embedding = self._tensor((portrait.embedding if identify is None else identify(portrait.image))[None])
        masks = tuple(
            self._tensor(np.stack([level.full, level.face, level.lip], axis=-1)[:, None])
            for level in portrait.masks
        )
        picture = self._pixels(portrait.image[None])
        return EncodedPortrait(
            portrait,
            picture,
            self.model.codec.encode(picture),
            identity_tokens(self.model.network, embedding),
            self._tensor((portrait.face_region[None] / 255).astype(np.float32)).permute(0, 3, 1, 2),
            masks,
            torch.from_numpy(np.flatnonzero(portrait.foreground)).to(self.model.device),
        )

    @torch.inference_mode()
    def initial_state(self, avatar: EncodedPortrait, sampling: Sampling) -> PipelineState:
        """A stream at its beginning: the portrait stands in for the frames before the first."""
        motion = avatar.source[:, None].expand(-1, self.model.motion_frames, -1, -1, -1)
        return PipelineState(avatar, sampling, self._session(avatar, sampling), motion)

    @torch.inference_mode()
    def restore_state(
        self,
        avatar: EncodedPortrait,
        sampling: Sampling,
        motion: NDArray[np.float32],
        windows: int,
        session: SessionConditions | None = None,
    ) -> PipelineState:
        """A stream as it was, maybe in another process, from its `motion` and `windows`: what follows is the same.

        session: of another stream of this avatar and sampling, so that it is not worked out again.
        """
        known = self._session(avatar, sampling) if session is None else session
        return PipelineState(avatar, sampling, known, self._tensor(motion), windows)

    def _session(self, avatar: EncodedPortrait, sampling: Sampling) -> SessionConditions:
        return build_session_conditions(
            self.model.network,
            avatar.source,
            avatar.identity,
            avatar.masks,
            avatar.region,
            guided=sampling.guidance > 1,
            motion_scale=self.model.defaults.motion_scale,
            project=sampling.plan().exact,
        )

    @torch.inference_mode()
    def prefetch_motion_features(self, state: PipelineState) -> PipelineState:
        """Return the state with the reference features of its last frames, which its next window needs.

        `generate_windows` computes them where they are missing: the frames are the same, and come sooner if this runs before the
        audio of the window is complete.
        """
        return replace(state, motion_features=self._motion_features(state))

    @torch.inference_mode()
    def generate_windows(
        self, requests: Sequence[tuple[PipelineState, NDArray[np.float32]]], watch: Stopwatch | None = None
    ) -> list[tuple[PipelineState, Frames]]:
        """One window for each stream, in one batch.

        requests: streams that share steps, preset and guidance, each with the audio features (F, 5, blocks, channels) of its F
        frames, F the same for all. Returns each stream as it is afterwards, and its frames (F, H, W, 3) uint8.
        watch: gets the stages "preparing" (of conditions), "denoising" and "decoding".
        """
        watch = watch or Stopwatch(self.model.device)
        sampling = _common([stream for stream, _ in requests])
        plan = sampling.plan()
        audio = self._tensor(np.stack([features for _, features in requests]))
        tokens = self.model.network.audioproj(audio)
        latents: dict[int, Tensor] = {}
        for batch in _batches([stream for stream, _ in requests], plan):
            clean = self._denoise([requests[i][0] for i in batch], tokens[batch], plan, sampling, watch)
            latents |= dict(zip(batch, clean, strict=True))
        finished = [self._finish(stream, latents[i]) for i, (stream, _) in enumerate(requests)]
        watch.mark("decoding")
        return finished

    @torch.inference_mode()
    def sampling_inputs(self, stream: PipelineState, features: NDArray[np.float32]) -> SamplingInputs:
        """What the stream's next window, of audio features (F, 5, blocks, channels), would be sampled from."""
        tokens = self.model.network.audioproj(self._tensor(features[None]))
        return self._case([stream], tokens, stream.sampling)

    def _denoise(
        self,
        streams: Sequence[PipelineState],
        tokens: Tensor,
        plan: Plan,
        sampling: Sampling,
        watch: Stopwatch,
    ) -> Tensor:
        """Clean latents (streams, C, F, h, w) from noise and audio tokens (streams, F, T, C), in one batch."""
        case = self._case(streams, tokens, sampling)
        watch.mark("preparing")
        clean = sample(
            self.model.network.denoising_unet,
            plan,
            case.schedule,
            case.noise,
            case.conditions,
            sampling.guidance,
            streams[0].avatar.foreground if plan.needs_foreground else None,
        )
        watch.mark("denoising")
        return clean

    def _case(self, streams: Sequence[PipelineState], tokens: Tensor, sampling: Sampling) -> SamplingInputs:
        clips = []
        for stream, heard in zip(streams, tokens, strict=True):
            clips.append(
                build_window_conditions(
                    self.model.network, stream.session, heard[None], self._motion_features(stream)
                )
            )
        return SamplingInputs(
            ddim_schedule(self.model.scheduler, sampling.steps, self.model.defaults.last_timestep),
            torch.cat([self._noise(stream, tokens.shape[1]) for stream in streams]),
            clips[0] if len(clips) == 1 else join(clips),
        )

    def _motion_features(self, state: PipelineState) -> Mapping[str, Tensor]:
        if state.motion_features is not None:
            return state.motion_features
        guided = state.session.unconditional > 0
        return motion_features(self.model.network, state.motion, state.avatar.identity, guided)

    def _finish(self, stream: PipelineState, latents: Tensor) -> tuple[PipelineState, Frames]:
        """Decodes (C, F, h, w) and remembers the last frames as Hallo does: as pixels, encoded again."""
        images = self.model.codec.decode(self._latents(stream.avatar, latents.transpose(0, 1)))
        pixels = (
            ((images.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        )
        count = self.model.motion_frames
        recent = images.clamp(-1, 1)[-count:]
        motion = self.model.codec.encode(recent)[None]
        if motion.shape[1] < count:
            motion = torch.cat([stream.motion[:, motion.shape[1] :], motion], dim=1)
        return replace(stream, motion=motion, windows=stream.windows + 1, motion_features=None), pixels

    def _latents(self, avatar: EncodedPortrait, sample: Tensor) -> Tensor:
        """Latents (F, C, h, w) of what was diffused, (F, C + flow channels, h, w)."""
        spread, warp = self.model.spread, self.model.warp
        if spread is None:
            return sample
        if warp is None:
            return sample * spread + avatar.source
        channels = avatar.source.shape[1]
        difference = warp.kept(sample[:, :channels], self.model.defaults.noise_floor)
        moved = self.model.codec.encode(warp(avatar.picture, sample[:, channels:] * spread))
        return moved + difference * spread

    def _noise(self, stream: PipelineState, frames: int) -> Tensor:
        """The same noise for the same seed and window, whatever else is in the batch; drawn on the CPU as Hallo draws it."""
        generator = torch.Generator().manual_seed((stream.sampling.seed * 1_000_003 + stream.windows) % 2**63)
        channels = self.model.network.config.sample_channels
        height, width = stream.avatar.source.shape[2:]
        noise = torch.randn((1, channels, frames, height, width), generator=generator)
        return noise.to(self.model.device, self.model.dtype)

    def _pixels(self, images: Frames) -> Tensor:
        return self._tensor(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        # A copy: portraits are read-only, which torch does not know.
        return torch.from_numpy(np.array(array)).to(self.model.device, self.model.dtype)


def _common(streams: Sequence[PipelineState]) -> Sampling:
    """The one way in which all streams of a batch are sampled; seeds may differ."""
    if not streams:
        raise ValueError("generate needs at least one stream")
    first = streams[0].sampling
    if any(replace(stream.sampling, seed=first.seed) != first for stream in streams):
        raise ValueError("streams of one batch must share preset, steps and guidance")
    return first


def _batches(streams: Sequence[PipelineState], plan: Plan) -> list[list[int]]:
    """Which streams are denoised together: all of them, but where attention stays inside the face those of one avatar, because
    a batch has one set of foreground tokens.
    """
    if not plan.needs_foreground:
        return [list(range(len(streams)))]
    batches: dict[int, list[int]] = {}
    for index, stream in enumerate(streams):
        batches.setdefault(id(stream.avatar), []).append(index)
    return list(batches.values())
