"""What a network looks like, as frozen values that round-trip through JSON.

The defaults describe Hallo at full size; the golden files and the bundled model are other values of the
same types.
"""

import dataclasses
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from .errors import LipstreamError


class ConfigError(LipstreamError):
    """A configuration has unknown, missing or impossible values."""


@dataclass(frozen=True)
class JsonConfig:
    """JSON round trip for frozen dataclasses of plain values; unknown keys are refused."""

    title: ClassVar[str] = "configuration"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain JSON values (lists become tuples). Raises ConfigError on unknown keys or wrong
        types.
        """
        hints = {f.name: get_type_hints(cls)[f.name] for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ConfigError(f"{cls.title}: unknown keys {unknown}; known keys are {sorted(hints)}")
        return cls(**{name: _coerce(f"{cls.title}.{name}", hints[name], values[name]) for name in values})

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{cls.title}: not JSON ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{cls.title}: expected a JSON object, got {type(values).__name__}")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)


def _coerce(where: str, hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, JsonConfig):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected an object, got {value!r}")
        return hint.from_dict(value)
    origin = get_origin(hint)
    if origin is tuple:
        item, *rest = get_args(hint)
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        if rest and rest[0] is not Ellipsis and len(value) != len(get_args(hint)):
            raise ConfigError(f"{where}: expected {len(get_args(hint))} values, got {value!r}")
        return tuple(_coerce(where, item, one) for one in value)
    if origin is types.UnionType:
        return None if value is None else _coerce(where, get_args(hint)[0], value)
    accepted = (int, float) if hint is float else (hint,)
    if not isinstance(value, accepted) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where}: expected {hint.__name__}, got {value!r}")
    return float(value) if hint is float else value


@dataclass(frozen=True)
class AudioProjectionConfig(JsonConfig):
    """A window of audio features around a frame becomes `context_tokens` tokens (Hallo: wav2vec2, 12
    layers).
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
    """A face embedding becomes a few tokens for the spatial cross attention."""

    title: ClassVar[str] = "identity_projection"

    embedding_dim: int = 512
    tokens: int = 4


@dataclass(frozen=True)
class SchedulerConfig(JsonConfig):
    """Arguments of diffusers' DDIMScheduler, in Hallo's values: v-prediction with zero terminal SNR,
    trailing steps.
    """

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
    """Shape of the five networks. Attention lives on all levels but the deepest, as in SD-1.5.

    `heads` is the number of heads of spatial and audio attention on every level, so the head size grows
    with the width. Hallo's motion modules keep 32 groups (`motion_norm_groups`) whatever the rest has.
    `unused_motion_modules` creates the motion modules of the attention-less blocks, which
    Hallo's checkpoint has but never runs. `input_gain` scales noisy latents by a kept gain for their timestep
    (`DenoiserLayers.set_input_gain`). `flow_channels` are diffused behind the latents and say how the portrait moves
    and what its mouth shows (`lipstream_models.warping.flow_warp`). `tiled_identity` keeps Hallo's order of identity tokens in the
    reference net (see `lipstream_models.conditioning`).
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
        """Channels of what is diffused."""
        return self.latent_channels + self.flow_channels

    @property
    def levels(self) -> int:
        return len(self.block_out_channels)

    @property
    def size_multiple(self) -> int:
        """Latent height and width must be multiples of this."""
        return int(2 ** (self.levels - 1))
