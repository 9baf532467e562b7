"""One safetensors file with the five networks and the autoencoder in fp16, its configuration in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from ..warping.flow_warp import Warp

M = TypeVar("M", bound=torch.nn.Module)
SIDE = 256
_ROOT = files(__package__)
MODEL_FILE = "model.safetensors"


def save_bundled(
    path: Path,
    network: Network,
    autoencoder: Autoencoder,
    defaults: SamplingDefaults,
    spread: float,
    hearing: FeatureConfig | None = None,
    warp: Warp | None = None,
) -> None:
    """Writes everything that training made as one fp16 file.

    spread, warp: see `Model`; hearing: how the audio features were made.
    """
    tensors = {f"net.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"autoencoder.{name}": value for name, value in autoencoder.state_dict().items()}
    if warp is not None:
        tensors |= {f"warp.{name}": value for name, value in warp.state_dict().items()}
    metadata = {
        "network": network.config.to_json(),
        "autoencoder": json.dumps(asdict(autoencoder.config)),
        "defaults": json.dumps(asdict(defaults)),
        "scheduler": SchedulerConfig(prediction_type="sample").to_json(),
        "hearing": json.dumps(asdict(hearing or FeatureConfig())),
        "spread": json.dumps(spread),
    }
    save_file({name: value.half().contiguous() for name, value in tensors.items()}, path, metadata)


@dataclass(frozen=True)
class BundledWeights:
    """What a bundled model's file holds, in float32 on the CPU."""

    network: Network
    autoencoder: Autoencoder
    defaults: SamplingDefaults
    scheduler: SchedulerConfig
    hearing: FeatureConfig
    spread: float
    warp: Warp | None = None


def read_bundled(path: Path | None = None) -> BundledWeights:
    """Reads such a file, by default the package's own. Raises LipstreamError when it is missing or is not such a file."""
    path = path or bundled_model_path()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = Network(NetworkConfig.from_json(metadata["network"]))
        autoencoder = Autoencoder(AutoencoderConfig.from_dict(json.loads(metadata["autoencoder"])))
        network.load_state_dict(_part(tensors, "net."))
        autoencoder.load_state_dict(_part(tensors, "autoencoder."))
        warp = None
        if network.config.flow_channels:
            warp = Warp(network.config.flow_channels)
            warp.load_state_dict(_part(tensors, "warp."))
        hearing = json.loads(metadata["hearing"])
        return BundledWeights(
            network=network,
            autoencoder=autoencoder,
            defaults=_defaults(metadata),
            scheduler=SchedulerConfig.from_json(metadata["scheduler"]),
            hearing=FeatureConfig(**{**hearing, "layers": tuple(hearing["layers"])}),
            spread=float(json.loads(metadata["spread"])),
            warp=warp,
        )
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise LipstreamError(f"{path}: expected a bundled Lipstream model: {error}") from error


def read_shape(path: Path | None = None) -> tuple[NetworkConfig, SamplingDefaults, SchedulerConfig]:
    """What such a file says of its networks and their sampling, without reading weights. Raises LipstreamError likewise."""
    path = path or bundled_model_path()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        return (
            NetworkConfig.from_json(metadata["network"]),
            _defaults(metadata),
            SchedulerConfig.from_json(metadata["scheduler"]),
        )
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise LipstreamError(f"{path}: expected a bundled Lipstream model: {error}") from error


def _defaults(metadata: Mapping[str, str]) -> SamplingDefaults:
    values = json.loads(metadata["defaults"])
    return SamplingDefaults(**{**values, "motion_scale": tuple(values["motion_scale"])})


def load_bundled(
    device: torch.device | str = "cpu", dtype: torch.dtype | None = None, path: Path | None = None
) -> Model:
    """The bundled model on a device, by default in the format that is fastest there.

    Raises LipstreamError when the file is missing or is not such a file.
    """
    weights = read_bundled(path)
    dtype = dtype or fast_dtype(device)
    device = torch.device(device)
    side = SIDE // FACTOR
    return Model(
        name="bundled",
        network=_placed(weights.network, device, dtype),
        codec=AutoencoderCodec(_placed(weights.autoencoder, device, dtype)),
        audio=WhisperFeatures.bundled(weights.hearing).to(device),
        scheduler=weights.scheduler,
        portrait=PortraitSettings(
            SIDE, tuple(side >> level for level in range(weights.network.config.levels))
        ),
        defaults=weights.defaults,
        device=device,
        dtype=dtype,
        spread=weights.spread,
        warp=None if weights.warp is None else _placed(weights.warp, device, torch.float32),
    )


def bundled_model_path() -> Path:
    """Where the package keeps its weights."""
    return Path(str(_ROOT / MODEL_FILE))


def avatar_names() -> tuple[str, ...]:
    """Names of the bundled portraits."""
    return tuple(
        sorted(
            Path(entry.name).stem for entry in (_ROOT / "avatars").iterdir() if entry.name.endswith(".png")
        )
    )


def avatar_path(name: str) -> Path:
    """The picture of a bundled avatar. Raises LipstreamError for a name that is not among ``avatar_names``."""
    if name not in avatar_names():
        raise LipstreamError(f"no bundled avatar {name!r}: expected one of {', '.join(avatar_names())}")
    return Path(str(_ROOT / "avatars" / f"{name}.png"))


def recording_path() -> Path:
    """A short public-domain recording of a human voice."""
    return Path(str(_ROOT / "audio" / "reading.flac"))


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _placed(module: M, device: torch.device, dtype: torch.dtype) -> M:
    return channels_last(module.to(device, dtype)).eval().requires_grad_(False)
