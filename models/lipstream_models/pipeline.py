"""The pipeline: a portrait and audio features in, frames out, one window after the other.

State is a value: a `PipelineState` holds everything that one stream remembers. It goes into `generate_windows`, and
a new one comes out. Streams that are denoised in one batch do not influence each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipstream_accel.plan import Plan
from lipstream_accel.presets import PRESETS
from lipstream_accel.sampling import sample
from lipstream_accel.schedule import DDIMSchedule

from .conditioning import (
    build_session_conditions,
    build_window_conditions,
    identity_tokens,
    motion_features,
)
from .device.timer import StageTimer
from .errors import LipstreamError
from .model import Model
from .networks.conditions import Conditions, SessionConditions, join_conditions
from .pipeline_state import EncodedPortrait as EncodedPortrait
from .pipeline_state import PipelineState as PipelineState
from .portrait import Portrait
from .sampling import Sampling as Sampling
from .sampling import SamplingError as SamplingError
from .scheduler import ddim_schedule

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SamplingInputs:
    """Arguments of `lipstream_accel.sampling.sample` for a batch of windows; noise is (B, C, F, h, w)."""

    schedule: DDIMSchedule
    noise: Tensor
    conditions: Conditions


class TalkingHeadPipeline:
    """A model on its device. Not thread-safe: one thread owns the device."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def presets(self) -> tuple[str, ...]:
        """Names of the presets."""
        return PRESETS

    @torch.inference_mode()
    def encode_portrait(self, portrait: Portrait) -> EncodedPortrait:
        """Encode a portrait that was prepared with this model's settings. Raises LipstreamError for another size."""
        size = self.model.size
        if portrait.image.shape != (size, size, 3):
            raise LipstreamError(f"expected a portrait of {size} x {size} pixels, got {portrait.image.shape}")
        identify = self.model.identify
        embedding = self._tensor((portrait.embedding if identify is None else identify(portrait.image))[None])
        masks = tuple(
            self._tensor(np.stack([level.full, level.face, level.lip], axis=-1)[:, None])
            for level in portrait.masks
        )
        image = self._tensor(portrait.image[None].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        return EncodedPortrait(
            portrait,
            image,
            self.model.codec.encode(image),
            identity_tokens(self.model.network, embedding),
            self._tensor((portrait.face_region[None] / 255).astype(np.float32)).permute(0, 3, 1, 2),
            masks,
            torch.from_numpy(np.flatnonzero(portrait.foreground)).to(self.model.device),
        )

    @torch.inference_mode()
    def initial_state(self, portrait: EncodedPortrait, sampling: Sampling) -> PipelineState:
        """Return the state of a new stream. The portrait stands for the frames before the first."""
        motion = portrait.latents[:, None].expand(-1, self.model.motion_frames, -1, -1, -1)
        return PipelineState(portrait, sampling, self._session_conditions(portrait, sampling), motion)

    @torch.inference_mode()
    def restore_state(
        self,
        portrait: EncodedPortrait,
        sampling: Sampling,
        motion: NDArray[np.float32],
        windows: int,
        session: SessionConditions | None = None,
    ) -> PipelineState:
        """Return the state that had these ``motion`` latents (1, M, C, h, w) and ``windows``, maybe in another process.

        ``session`` of another stream with this portrait and sampling spares computing it again.
        """
        session = self._session_conditions(portrait, sampling) if session is None else session
        return PipelineState(portrait, sampling, session, self._tensor(motion), windows)

    def _session_conditions(self, portrait: EncodedPortrait, sampling: Sampling) -> SessionConditions:
        return build_session_conditions(
            self.model.network,
            portrait.latents,
            portrait.identity,
            portrait.masks,
            portrait.face_region,
            guided=sampling.guidance > 1,
            motion_scale=self.model.defaults.motion_scale,
            project=sampling.plan().project_once,
        )

    @torch.inference_mode()
    def prefetch_motion_features(self, state: PipelineState) -> PipelineState:
        """Return the state with the reference features of its last frames, which its next window needs.

        `generate_windows` computes them if they are missing: the frames are the same, and come sooner if this runs
        before the audio of the window is complete.
        """
        return replace(state, motion_features=self._motion_features(state))

    @torch.inference_mode()
    def generate_windows(
        self, requests: Sequence[tuple[PipelineState, NDArray[np.float32]]], timer: StageTimer | None = None
    ) -> list[tuple[PipelineState, Frames]]:
        """Generate one window for each stream, in one batch.

        Args:
            requests: states that share steps, preset and guidance, each with audio features
                (F, 5, blocks, channels) of its F frames; F is the same for all.
            timer: records the stages "preparing" (of conditions), "denoising" and "decoding".

        Returns:
            For each request the state after the window, and its frames (F, H, W, 3) uint8.
        """
        timer = timer or StageTimer(self.model.device)
        states = [state for state, _ in requests]
        sampling = _shared_sampling(states)
        plan = sampling.plan()
        audio = self._tensor(np.stack([features for _, features in requests]))
        tokens = self.model.network.audioproj(audio)
        latents: dict[int, Tensor] = {}
        for batch in _denoising_batches(states, plan):
            clean = self._denoise([states[i] for i in batch], tokens[batch], plan, sampling, timer)
            latents |= dict(zip(batch, clean, strict=True))
        results = [self._decode_window(state, latents[i]) for i, state in enumerate(states)]
        timer.mark("decoding")
        return results

    @torch.inference_mode()
    def sampling_inputs(self, state: PipelineState, features: NDArray[np.float32]) -> SamplingInputs:
        """Return the inputs of sampling the stream's next window with audio features (F, 5, blocks, channels)."""
        tokens = self.model.network.audioproj(self._tensor(features[None]))
        return self._batch_inputs([state], tokens, state.sampling)

    def _denoise(
        self,
        states: Sequence[PipelineState],
        tokens: Tensor,
        plan: Plan,
        sampling: Sampling,
        timer: StageTimer,
    ) -> Tensor:
        """Return clean samples (B, C, F, h, w) for B states with audio tokens (B, F, T, C), in one batch."""
        inputs = self._batch_inputs(states, tokens, sampling)
        timer.mark("preparing")
        clean = sample(
            self.model.network.denoising_unet,
            plan,
            inputs.schedule,
            inputs.noise,
            inputs.conditions,
            sampling.guidance,
            states[0].portrait.foreground if plan.needs_foreground else None,
        )
        timer.mark("denoising")
        return clean

    def _batch_inputs(
        self, states: Sequence[PipelineState], tokens: Tensor, sampling: Sampling
    ) -> SamplingInputs:
        """Return sampling inputs of B states with audio tokens (B, F, T, C)."""
        conditions = [
            build_window_conditions(
                self.model.network, state.session, audio[None], self._motion_features(state)
            )
            for state, audio in zip(states, tokens, strict=True)
        ]
        return SamplingInputs(
            ddim_schedule(self.model.scheduler, sampling.steps, self.model.defaults.last_timestep),
            torch.cat([self._draw_noise(state, tokens.shape[1]) for state in states]),
            conditions[0] if len(conditions) == 1 else join_conditions(conditions),
        )

    def _motion_features(self, state: PipelineState) -> Mapping[str, Tensor]:
        if state.motion_features is not None:
            return state.motion_features
        guided = state.session.unconditional > 0
        return motion_features(self.model.network, state.motion, state.portrait.identity, guided)

    def _decode_window(self, state: PipelineState, sampled: Tensor) -> tuple[PipelineState, Frames]:
        """Decode a sample (C, F, h, w). As in Hallo, the last frames become motion frames as pixels, encoded again."""
        images = self.model.codec.decode(self._compose_latents(state.portrait, sampled.transpose(0, 1)))
        pixels = (
            ((images.float() + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        )
        count = self.model.motion_frames
        last_images = images.clamp(-1, 1)[-count:]
        motion = self.model.codec.encode(last_images)[None]
        if motion.shape[1] < count:
            motion = torch.cat([state.motion[:, motion.shape[1] :], motion], dim=1)
        return replace(state, motion=motion, windows=state.windows + 1, motion_features=None), pixels

    def _compose_latents(self, portrait: EncodedPortrait, sampled: Tensor) -> Tensor:
        """Return latents (F, C, h, w) of a sample (F, C + flow channels, h, w)."""
        scale, warp = self.model.residual_scale, self.model.warp
        if scale is None:
            return sampled
        if warp is None:
            return sampled * scale + portrait.latents
        channels = portrait.latents.shape[1]
        residual = warp.denoise_residual(sampled[:, :channels], self.model.defaults.noise_floor)
        warped = self.model.codec.encode(warp(portrait.image, sampled[:, channels:] * scale))
        return warped + residual * scale

    def _draw_noise(self, state: PipelineState, frames: int) -> Tensor:
        """Return noise (1, C, frames, h, w) that depends on seed and window only; drawn on the CPU, as in Hallo."""
        generator = torch.Generator().manual_seed((state.sampling.seed * 1_000_003 + state.windows) % 2**63)
        channels = self.model.network.config.sample_channels
        height, width = state.portrait.latents.shape[2:]
        noise = torch.randn((1, channels, frames, height, width), generator=generator)
        return noise.to(self.model.device, self.model.dtype)

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        # Copied, because torch does not support read-only arrays such as those of portraits.
        return torch.from_numpy(np.array(array)).to(self.model.device, self.model.dtype)


def _shared_sampling(states: Sequence[PipelineState]) -> Sampling:
    """Return the sampling settings that all streams of a batch share but for the seed."""
    if not states:
        raise ValueError("generate_windows needs at least one stream")
    first = states[0].sampling
    if any(replace(state.sampling, seed=first.seed) != first for state in states):
        raise ValueError("streams of one batch must share preset, steps and guidance")
    return first


def _denoising_batches(states: Sequence[PipelineState], plan: Plan) -> list[list[int]]:
    """Return indices of the streams that are denoised together.

    With attention inside the face, these are streams of one portrait: a batch has one set of foreground tokens.
    """
    if not plan.needs_foreground:
        return [list(range(len(states)))]
    batches: dict[int, list[int]] = {}
    for index, state in enumerate(states):
        batches.setdefault(id(state.portrait), []).append(index)
    return list(batches.values())
