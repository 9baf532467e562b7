"""Reading a golden file: what network its metadata describes, its weights, inputs and expected outputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .config import AudioProjectionConfig, NetworkConfig, SchedulerConfig
from .errors import LipstreamError
from .networks import Network


class GoldenError(LipstreamError):
    """The file is not a golden file that can be run."""


@dataclass(frozen=True)
class GoldenFile:
    """Metadata and tensors; tensor groups by prefix."""

    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    vae_weights: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def masks(self) -> list[Tensor]:
        """Per level (1, frames, tokens, 3): whole picture, face, lips."""
        kinds = ("full_mask", "face_mask", "lip_mask")
        levels = len(self.settings["block_out_channels"])
        return [
            torch.stack([self.inputs[f"{kind}.{level}"] for kind in kinds], dim=-1)[None]
            for level in range(levels)
        ]


def read_golden(path: Path) -> GoldenFile:
    """Raises GoldenError with what is wrong: missing, not safetensors, no or incomplete metadata, missing tensors."""
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
        raise GoldenError(f"{path}: metadata `config` with JSON expected, got {sorted(metadata)}") from error

    def group(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

    golden = GoldenFile(settings, group("net."), group("vae."), group("input."), group("output."))
    _check(path, golden)
    return golden


def _check(path: Path, golden: GoldenFile) -> None:
    needed = ("steps", "guidance_scale", "motion_scale", "block_out_channels", "cross_attention_dim")
    needed += ("audio_attention_dim", "heads", "norm_groups", "audio_proj", "vae", "scheduler")
    missing = [f"metadata {key}" for key in needed if key not in golden.settings]
    names = ["ref_image", "face_region", "face_embedding", "audio", "initial_latents"]
    levels = range(len(golden.settings.get("block_out_channels", ())))
    names += [f"{kind}_mask.{level}" for kind in ("full", "face", "lip") for level in levels]
    missing += [f"input.{name}" for name in names if name not in golden.inputs]
    if not golden.outputs:
        missing.append("output.*")
    if missing:
        raise GoldenError(f"{path}: missing {', '.join(missing)}")


def network_config(golden: GoldenFile) -> NetworkConfig:
    """The network that the metadata describes; sizes it does not mention are read off the weights, as far as they are free."""
    settings = golden.settings
    return NetworkConfig(
        latent_channels=golden.inputs["initial_latents"].shape[1],
        block_out_channels=tuple(settings["block_out_channels"]),
        layers_per_block=settings.get("layers_per_block", 2),
        heads=settings["heads"],
        norm_groups=settings["norm_groups"],
        cross_attention_dim=settings["cross_attention_dim"],
        audio_attention_dim=settings["audio_attention_dim"],
        motion_frames=golden.inputs["ref_image"].shape[1] - 1,
        audio_projection=AudioProjectionConfig.from_dict(settings["audio_proj"]),
    )


def build_network(golden: GoldenFile) -> Network:
    """Network with the file's weights, strictly, fp32, evaluation mode."""
    with torch.device("meta"):
        network = Network(network_config(golden))
    _load(network, golden.weights)
    return network.eval().requires_grad_(False)


def build_vae(golden: GoldenFile) -> AutoencoderKL:
    """diffusers' autoencoder with the file's weights; four blocks, as in Stable Diffusion."""
    settings = golden.settings["vae"]
    widths = tuple(settings["block_out_channels"])
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=settings["layers_per_block"],
        norm_num_groups=settings["norm_num_groups"],
        latent_channels=golden.inputs["initial_latents"].shape[1],
        scaling_factor=settings["scaling"],
    )
    _load(vae, golden.vae_weights)
    return vae.eval().requires_grad_(False)


def scheduler_config(golden: GoldenFile) -> SchedulerConfig:
    return SchedulerConfig.from_dict(golden.settings["scheduler"])


def _load(module: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    try:
        module.load_state_dict({k: v.float() for k, v in weights.items()}, strict=True, assign=True)
    except RuntimeError as error:
        raise GoldenError(f"weights do not fit the network that the metadata describes: {error}") from error
