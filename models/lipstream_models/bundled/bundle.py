"""One safetensors file with the five networks and the autoencoder in fp16, its configuration in the metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..audio.features import FeatureConfig, WhisperFeatures
from ..autoencoder import Autoencoder, AutoencoderConfig
from ..codec import AutoencoderCodec
from ..config import NetworkConfig, SchedulerConfig
from ..errors import LipstreamError
from ..memory_format import channels_last
from ..model import Model, SamplingDefaults
from ..networks import Network
from ..portrait import PortraitSettings

M = TypeVar("M", bound=torch.nn.Module)
_ROOT = files(__package__)
MODEL_FILE = "model.safetensors"


def save_bundled(
    path: Path,
    network: Network,
    autoencoder: Autoencoder,
    defaults: SamplingDefaults,
    hearing: FeatureConfig | None = None,
) -> None:
    """Writes everything that training made as one fp16 file; ``hearing`` is how the audio features were made."""
    tensors = {f"net.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"autoencoder.{name}": value for name, value in autoencoder.state_dict().items()}
    metadata = {
        "network": network.config.to_json(),
        "autoencoder": json.dumps(asdict(autoencoder.config)),
        "defaults": json.dumps(asdict(defaults)),
        "scheduler": SchedulerConfig().to_json(),
        "hearing": json.dumps(asdict(hearing or FeatureConfig())),
    }
    save_file({name: value.half().contiguous() for name, value in tensors.items()}, path, metadata)


def load_bundled(
    device: torch.device | str = "cpu", dtype: torch.dtype | None = None, path: Path | None = None
) -> Model:
    """The bundled model on a device, by default in bfloat16.

    Raises LipstreamError when the file is missing or is not such a file.
    """
    path = path or bundled_model_path()
    dtype = dtype or torch.bfloat16
    device = torch.device(device)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = Network(NetworkConfig.from_json(metadata["network"]))
        autoencoder = Autoencoder(AutoencoderConfig.from_dict(json.loads(metadata["autoencoder"])))
        network.load_state_dict(_part(tensors, "net."))
        autoencoder.load_state_dict(_part(tensors, "autoencoder."))
        defaults = json.loads(metadata["defaults"])
        scheduler = SchedulerConfig.from_json(metadata["scheduler"])
        hearing = json.loads(metadata["hearing"])
        hearing = FeatureConfig(**{**hearing, "layers": tuple(hearing["layers"])})
    except (OSError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise LipstreamError(f"{path}: expected a bundled Lipstream model: {error}") from error
    defaults["motion_scale"] = tuple(defaults["motion_scale"])
    side = 256 // autoencoder.config.factor
    return Model(
        name="bundled",
        network=_placed(network, device, dtype),
        codec=AutoencoderCodec(_placed(autoencoder, device, dtype)),
        audio=WhisperFeatures.bundled(hearing).to(device),
        scheduler=scheduler,
        portrait=PortraitSettings(256, tuple(side >> level for level in range(network.config.levels))),
        defaults=SamplingDefaults(**defaults),
        device=device,
        dtype=dtype,
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
