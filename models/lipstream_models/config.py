"""Network and scheduler configurations: frozen values with a JSON form.

The defaults describe Hallo at full size. Golden files and the bundled model are other values of the same types.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from .errors import LipstreamError


class ConfigError(LipstreamError):
    """A configuration has unknown, missing or invalid values."""


@dataclass(frozen=True)
class JsonConfig:
    """Base of frozen dataclasses that are read from JSON and written to it.

    Values are validated strictly by pydantic when they are read: unknown keys and values of another type are refused.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    title: ClassVar[str] = "configuration"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration with these JSON values. Raises ConfigError that names every invalid key."""
        return cls.from_json(json.dumps(dict(values)))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the configuration that a JSON object describes. Raises ConfigError that names every invalid key."""
        try:
            return TypeAdapter(cls).validate_json(text, strict=True)
        except ValidationError as error:
            problems = (_describe_problem(cls.title, problem) for problem in error.errors())
            raise ConfigError("; ".join(problems)) from error

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, nested configurations as dictionaries."""
        return asdict(self)

    def to_json(self) -> str:
        """Return all fields as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)


def _describe_problem(title: str, problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in (title, *problem["loc"]))
    if problem["type"] == "unexpected_keyword_argument":
        return f"{where}: unknown key"
    message = problem["msg"].removeprefix("Value error, ")
    return message if message.startswith(title) else f"{where}: {message}, got {problem['input']!r}"


@dataclass(frozen=True)
class AudioProjectionConfig(JsonConfig):
    """Projection of the audio features around a frame to tokens. Hallo: wav2vec 2.0 with 12 layers.

    Attributes:
        seq_len: frames of audio features around a frame.
        blocks: layers of the audio encoder that are used.
        channels: width of the audio encoder.
        intermediate_dim: width of the two hidden layers.
        output_dim: width of a token.
        context_tokens: tokens for each frame.
    """

    title: ClassVar[str] = "audio_projection"

    seq_len: int = 5
    blocks: int = 12
    channels: int = 768
    intermediate_dim: int = 512
    output_dim: int = 768
    context_tokens: int = 32


@dataclass(frozen=True)
class IdentityProjectionConfig(JsonConfig):
    """Projection of a face embedding to ``tokens`` tokens for the spatial cross attention."""

    title: ClassVar[str] = "identity_projection"

    embedding_dim: int = 512
    tokens: int = 4


@dataclass(frozen=True)
class SchedulerConfig(JsonConfig):
    """Arguments of diffusers' DDIMScheduler. Defaults are Hallo's: v-prediction, zero terminal SNR, trailing steps."""

    title: ClassVar[str] = "scheduler"

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "linear"
    clip_sample: bool = False
    set_alpha_to_one: bool = True
    steps_offset: int = 1
    prediction_type: str = "v_prediction"
    rescale_betas_zero_snr: bool = True
    timestep_spacing: str = "trailing"


@dataclass(frozen=True)
class NetworkConfig(JsonConfig):
    """Shape of the five networks.

    All levels but the deepest have attention, as in SD-1.5.

    Attributes:
        latent_channels: channels of the autoencoder's latents.
        flow_channels: channels diffused after the latents, which describe motion and mouth of the portrait
            (`lipstream_models.warping.flow_warp`); 0 for Hallo.
        block_out_channels: width of each level, finest first.
        layers_per_block: layers of a down block; up blocks have one more.
        heads: heads of spatial and audio attention on every level, so that the head size grows with the width.
        motion_heads: heads of temporal attention.
        norm_groups: groups of group normalisation.
        motion_norm_groups: the same in motion modules; Hallo keeps 32 whatever ``norm_groups`` is.
        cross_attention_dim: width of identity tokens.
        audio_attention_dim: width of audio tokens.
        motion_frames: last frames of the previous window that the denoiser sees.
        max_positions: length of the position table of temporal attention, motion frames included.
        unused_motion_modules: create the motion modules of blocks without attention, which Hallo's checkpoint has
            but never runs.
        tiled_identity: keep Hallo's order of identity tokens in the reference network (models/README.md, trap 4).
        input_gain: scale noisy latents by a stored gain for their timestep (`DenoiserLayers.set_input_gain`).
        face_locator_channels: widths of the face locator, finest first.
        identity_projection: see `IdentityProjectionConfig`.
        audio_projection: see `AudioProjectionConfig`.
    """

    title: ClassVar[str] = "network"

    latent_channels: int = 4
    flow_channels: int = 0
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    heads: int = 8
    motion_heads: int = 8
    norm_groups: int = 32
    motion_norm_groups: int = 32
    cross_attention_dim: int = 768
    audio_attention_dim: int = 768
    motion_frames: int = 2
    max_positions: int = 32
    unused_motion_modules: bool = True
    tiled_identity: bool = True
    input_gain: bool = False
    face_locator_channels: tuple[int, ...] = (16, 32, 64, 128)
    identity_projection: IdentityProjectionConfig = field(default_factory=IdentityProjectionConfig)
    audio_projection: AudioProjectionConfig = field(default_factory=AudioProjectionConfig)

    def __post_init__(self) -> None:
        problems = [
            f"block_out_channels: {width} is not divisible by {name}={count}"
            for width in self.block_out_channels
            for name, count in (
                ("norm_groups", self.norm_groups),
                ("motion_norm_groups", self.motion_norm_groups),
                ("heads", self.heads),
                ("motion_heads", self.motion_heads),
                ("2 (sine and cosine)", 2),
            )
            if count < 1 or width % count
        ]
        if len(self.block_out_channels) < 2:
            problems.append(f"block_out_channels: at least 2 levels needed, got {self.block_out_channels}")
        if self.layers_per_block < 1 or self.latent_channels < 1 or not self.face_locator_channels:
            problems.append("layers_per_block, latent_channels and face_locator_channels must not be empty")
        if not 0 <= self.motion_frames < self.max_positions:
            problems.append(
                f"motion_frames={self.motion_frames} must be below max_positions={self.max_positions}"
            )
        if self.audio_projection.output_dim != self.audio_attention_dim:
            problems.append(
                f"audio_projection.output_dim={self.audio_projection.output_dim} must equal "
                f"audio_attention_dim={self.audio_attention_dim}"
            )
        if problems:
            raise ConfigError("network: " + "; ".join(problems))

    @property
    def sample_channels(self) -> int:
        """Channels that are diffused: latents and flow channels."""
        return self.latent_channels + self.flow_channels

    @property
    def levels(self) -> int:
        """Number of resolutions."""
        return len(self.block_out_channels)

    @property
    def size_multiple(self) -> int:
        """Divisor of latent height and width."""
        return int(2 ** (self.levels - 1))
