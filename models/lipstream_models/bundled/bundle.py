"""The bundled model: one fp16 safetensors file of networks and autoencoder, with configurations in its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..audio.features import FeatureConfig, WhisperFeatures
from ..autoencoders.base import AutoencoderCodec
from ..autoencoders.patch_autoencoder import FACTOR, Autoencoder, AutoencoderConfig
from ..config import NetworkConfig, SchedulerConfig
from ..device.memory_format import channels_last
from ..device.precision import fast_dtype
from ..errors import LipstreamError
from ..model import Model, SamplingDefaults
from ..networks import Network
from ..portrait import PortraitSettings
from ..warping.flow_warp import FlowWarp

M = TypeVar("M", bound=torch.nn.Module)
FRAME_SIZE = 256
_ROOT = files(__package__)
MODEL_FILE = "model.safetensors"


def save_bundled(
    path: Path,
    network: Network,
    autoencoder: Autoencoder,
    defaults: SamplingDefaults,
    residual_scale: float,
    feature_config: FeatureConfig | None = None,
    warp: FlowWarp | None = None,
) -> None:
    """Write a trained model as one fp16 file.

    ``residual_scale`` and ``warp``: see `Model`; ``feature_config``: how the audio features were computed.
    """
    tensors = {f"net.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"autoencoder.{name}": value for name, value in autoencoder.state_dict().items()}
    if warp is not None:
        tensors |= {f"warp.{name}": value for name, value in warp.state_dict().items()}
    # The keys "hearing" and "spread" are part of the file format.
    metadata = {
        "network": network.config.to_json(),
        "autoencoder": autoencoder.config.to_json(),
        "defaults": defaults.to_json(),
        "scheduler": SchedulerConfig(prediction_type="sample").to_json(),
        "hearing": json.dumps(asdict(feature_config or FeatureConfig())),
        "spread": json.dumps(residual_scale),
    }
    save_file({name: value.half().contiguous() for name, value in tensors.items()}, path, metadata)


@dataclass(frozen=True)
class BundledWeights:
    """Content of a bundled model's file, in float32 on the CPU."""

    network: Network
    autoencoder: Autoencoder
    defaults: SamplingDefaults
    scheduler: SchedulerConfig
    feature_config: FeatureConfig
    residual_scale: float
    warp: FlowWarp | None = None


def read_bundled(path: Path | None = None) -> BundledWeights:
    """Read a bundled model's file, by default the one in the package. Raises LipstreamError if it is missing or invalid."""
    path = path or bundled_model_path()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = Network(NetworkConfig.from_json(metadata["network"]))
        autoencoder = Autoencoder(AutoencoderConfig.from_json(metadata["autoencoder"]))
        network.load_state_dict(_select(tensors, "net."))
        autoencoder.load_state_dict(_select(tensors, "autoencoder."))
        warp = None
        if network.config.flow_channels:
            warp = FlowWarp(network.config.flow_channels)
            warp.load_state_dict(_select(tensors, "warp."))
        features = json.loads(metadata["hearing"])
        return BundledWeights(
            network=network,
            autoencoder=autoencoder,
            defaults=SamplingDefaults.from_json(metadata["defaults"]),
            scheduler=SchedulerConfig.from_json(metadata["scheduler"]),
            feature_config=FeatureConfig(**{**features, "layers": tuple(features["layers"])}),
            residual_scale=float(json.loads(metadata["spread"])),
            warp=warp,
        )
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise LipstreamError(f"{path}: expected a bundled Lipstream model: {error}") from error


def read_bundled_configs(
    path: Path | None = None,
) -> tuple[NetworkConfig, SamplingDefaults, SchedulerConfig]:
    """Read the configurations in a bundled model's file, without weights. Raises LipstreamError as `read_bundled` does."""
    path = path or bundled_model_path()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        return (
            NetworkConfig.from_json(metadata["network"]),
            SamplingDefaults.from_json(metadata["defaults"]),
            SchedulerConfig.from_json(metadata["scheduler"]),
        )
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise LipstreamError(f"{path}: expected a bundled Lipstream model: {error}") from error


def load_bundled(
    device: torch.device | str = "cpu", dtype: torch.dtype | None = None, path: Path | None = None
) -> Model:
    """Load the bundled model on a device, by default in the fastest number format of the device.

    Raises LipstreamError if the file is missing or invalid.
    """
    weights = read_bundled(path)
    dtype = dtype or fast_dtype(device)
    device = torch.device(device)
    side = FRAME_SIZE // FACTOR
    return Model(
        name="bundled",
        network=_to_device(weights.network, device, dtype),
        codec=AutoencoderCodec(_to_device(weights.autoencoder, device, dtype)),
        audio=WhisperFeatures.bundled(weights.feature_config).to(device),
        scheduler=weights.scheduler,
        portrait=PortraitSettings(
            FRAME_SIZE, tuple(side >> level for level in range(weights.network.config.levels))
        ),
        defaults=weights.defaults,
        device=device,
        dtype=dtype,
        residual_scale=weights.residual_scale,
        warp=None if weights.warp is None else _to_device(weights.warp, device, torch.float32),
    )


def bundled_model_path() -> Path:
    """Return the path of the bundled weights."""
    return Path(str(_ROOT / MODEL_FILE))


def avatar_names() -> tuple[str, ...]:
    """Return the names of the bundled avatars."""
    return tuple(
        sorted(
            Path(entry.name).stem for entry in (_ROOT / "avatars").iterdir() if entry.name.endswith(".png")
        )
    )


def avatar_path(name: str) -> Path:
    """Return the portrait file of a bundled avatar. Raises LipstreamError for a name not in `avatar_names`."""
    if name not in avatar_names():
        raise LipstreamError(f"no bundled avatar {name!r}: expected one of {', '.join(avatar_names())}")
    return Path(str(_ROOT / "avatars" / f"{name}.png"))


def recording_path() -> Path:
    """Return the path of a short public-domain recording of a human voice."""
    return Path(str(_ROOT / "audio" / "reading.flac"))


def _select(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names have this prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _to_device(module: M, device: torch.device, dtype: torch.dtype) -> M:
    return channels_last(module.to(device, dtype)).eval().requires_grad_(False)
