"""Golden files: a network's metadata, weights, inputs and expected outputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ..autoencoders.sd_vae import StableAutoencoder
from ..config import AudioProjectionConfig, NetworkConfig, SchedulerConfig
from ..errors import LipstreamError
from ..networks import Network
from .infer_config import face_locator_channels, identity_projection, max_positions

MASKS = ("full_mask", "face_mask", "lip_mask")
SETTINGS = (
    "steps",
    "guidance_scale",
    "motion_scale",
    "block_out_channels",
    "cross_attention_dim",
    "audio_attention_dim",
    "heads",
    "norm_groups",
    "audio_proj",
    "vae",
    "scheduler",
)


class GoldenError(LipstreamError):
    """The file is not a valid golden file."""


@dataclass(frozen=True)
class GoldenFile:
    """Metadata, and tensors by group, without the prefix of the group."""

    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    vae_weights: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def masks(self) -> list[Tensor]:
        """Return the masks of each level (1, frames, h*w, 3): full frame, face, lips."""
        levels = len(self.settings["block_out_channels"])
        return [
            torch.stack([self.inputs[f"{m}.{level}"] for m in MASKS], dim=-1)[None] for level in range(levels)
        ]


def read_golden(path: Path) -> GoldenFile:
    """Read a golden file. Raises GoldenError for a missing or invalid file."""
    if not path.is_file():
        raise GoldenError(f"{path}: no such file; expected a golden .safetensors file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise GoldenError(f"{path}: not a readable safetensors file ({error})") from error
    try:
        settings = json.loads(metadata["config"])
    except (KeyError, json.JSONDecodeError) as error:
        raise GoldenError(f"{path}: expected metadata `config` with JSON, got {sorted(metadata)}") from error

    def group(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

    golden = GoldenFile(settings, group("net."), group("vae."), group("input."), group("output."))
    _check_complete(path, golden)
    return golden


def _check_complete(path: Path, golden: GoldenFile) -> None:
    if not isinstance(golden.settings, dict):
        raise GoldenError(f"{path}: metadata `config` must be a JSON object")
    missing = [f"metadata {key}" for key in SETTINGS if key not in golden.settings]
    names = ["ref_image", "face_region", "face_embedding", "audio", "initial_latents"]
    levels = range(len(golden.settings.get("block_out_channels", ())))
    names += [f"{mask}.{level}" for mask in MASKS for level in levels]
    missing += [f"input.{name}" for name in names if name not in golden.inputs]
    missing += [
        f"{name}*" for name, group in (("net.", golden.weights), ("output.", golden.outputs)) if not group
    ]
    if missing:
        raise GoldenError(f"{path}: missing {', '.join(missing)}")


def network_config(golden: GoldenFile) -> NetworkConfig:
    """Return the configuration that the metadata describes; widths it does not state come from the weights' shapes."""
    settings = golden.settings
    shapes = {key: tuple(value.shape) for key, value in golden.weights.items()}
    cross = int(settings["cross_attention_dim"])
    defaults = NetworkConfig()
    return NetworkConfig(
        latent_channels=golden.inputs["initial_latents"].shape[1],
        block_out_channels=tuple(settings["block_out_channels"]),
        layers_per_block=settings.get("layers_per_block", defaults.layers_per_block),
        heads=settings["heads"],
        motion_heads=settings.get("motion_heads", defaults.motion_heads),
        norm_groups=settings["norm_groups"],
        motion_norm_groups=settings.get("motion_norm_groups", defaults.motion_norm_groups),
        cross_attention_dim=cross,
        audio_attention_dim=settings["audio_attention_dim"],
        motion_frames=golden.inputs["ref_image"].shape[1] - 1,
        max_positions=max_positions(shapes),
        face_locator_channels=face_locator_channels(shapes),
        identity_projection=identity_projection(shapes, cross),
        audio_projection=AudioProjectionConfig.from_dict(settings["audio_proj"]),
    )


def empty_network(golden: GoldenFile) -> Network:
    """Return the network on the meta device, without weights."""
    with torch.device("meta"):
        return Network(network_config(golden))


def build_network(golden: GoldenFile) -> Network:
    """Return the network with the file's weights, loaded strictly, in fp32 and evaluation mode."""
    network = empty_network(golden)
    _load(network, golden.weights)
    return network.eval().requires_grad_(False)


def build_vae(golden: GoldenFile) -> StableAutoencoder:
    """Return the autoencoder with the file's weights."""
    vae = empty_vae(golden)
    _load(vae, golden.vae_weights)
    return StableAutoencoder(vae.eval().requires_grad_(False), float(golden.settings["vae"]["scaling"]))


def empty_vae(golden: GoldenFile) -> Any:
    """Return the AutoencoderKL that the metadata describes, on the meta device."""
    settings = golden.settings["vae"]
    widths = tuple(settings["block_out_channels"])
    build = cast(Any, AutoencoderKL)
    with torch.device("meta"):
        return build(
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            up_block_types=("UpDecoderBlock2D",) * len(widths),
            block_out_channels=widths,
            layers_per_block=settings["layers_per_block"],
            norm_num_groups=settings["norm_num_groups"],
            latent_channels=golden.inputs["initial_latents"].shape[1],
            scaling_factor=settings["scaling"],
        )


def scheduler_config(golden: GoldenFile) -> SchedulerConfig:
    """Return the scheduler configuration in the metadata."""
    return SchedulerConfig.from_dict(golden.settings["scheduler"])


def _load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    try:
        module.load_state_dict({k: v.float() for k, v in weights.items()}, strict=True, assign=True)
    except RuntimeError as error:
        raise GoldenError(f"weights do not fit the network that the metadata describes: {error}") from error
