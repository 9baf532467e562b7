"""Loading of a Hallo model directory, with all its problems in one error."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ..autoencoders.sd_vae import StableAutoencoder
from ..config import ConfigError, NetworkConfig, SchedulerConfig
from ..device.selection import DeviceError
from ..errors import WeightsError
from ..networks import Network
from .hallo_directory import (
    VAE_WEIGHTS,
    HalloDirectory,
    ModelDirectoryError,
    locate_files,
    read_json,
    read_network_config,
)
from .weights_file import WeightsFile, find_mismatches, open_weights

# Attention names of diffusers before 0.15, as in the file of sd-vae-ft-mse.
OLD_VAE_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


@dataclass(frozen=True)
class HalloModel:
    """Networks of a loaded directory. wav2vec 2.0 and the face models are loaded separately, from ``directory``."""

    directory: HalloDirectory
    network: Network
    autoencoder: StableAutoencoder
    scheduler: SchedulerConfig


@dataclass(frozen=True)
class CheckedModel:
    """A complete directory whose weights have the right names and shapes; no weight has been read yet."""

    directory: HalloDirectory
    config: NetworkConfig
    network: Network
    network_weights: WeightsFile
    vae: Any
    vae_weights: WeightsFile


def check_model(root: Path) -> CheckedModel:
    """Check all files, and names and shapes of all weights. Raises ModelDirectoryError that lists every problem."""
    directory, problems = locate_files(root)
    config = network = vae = None
    weights = _open(directory.network, problems) if directory.network.is_file() else None
    vae_weights = _open(directory.vae_weights, problems) if directory.vae_weights.is_file() else None
    try:
        config = read_network_config(root, {} if weights is None else weights.shapes)
        with torch.device("meta"):
            network = Network(config)
    except ConfigError as error:
        if not any("UNet's configuration" in problem for problem in problems):
            problems.append(str(error))
    if directory.vae_config.is_file():
        vae = _empty_vae(directory.vae_config, problems)
    problems += _compare(weights, network) + _compare(vae_weights, vae)
    if problems or config is None or network is None or weights is None or vae is None or vae_weights is None:
        raise ModelDirectoryError(root, problems)
    return CheckedModel(directory, config, network, weights, vae, vae_weights)


def load_model(
    root: Path, dtype: torch.dtype = torch.float16, device: torch.device | str = "cpu"
) -> HalloModel:
    """Load networks and autoencoder in ``dtype`` on ``device``, in evaluation mode.

    Raises:
        ModelDirectoryError: lists every problem of the directory.
        DeviceError: the device is missing or too small.
    """
    checked = check_model(root)
    network = _load_weights(checked.network, checked.network_weights, dtype, device)
    vae = _load_weights(checked.vae, checked.vae_weights, dtype, device)
    return HalloModel(
        checked.directory,
        network,
        StableAutoencoder(vae, float(vae.config.scaling_factor)),
        SchedulerConfig(),
    )


def _open(path: Path, problems: list[str]) -> WeightsFile | None:
    try:
        file = open_weights(path)
    except WeightsError as error:
        problems.append(str(error))
        return None
    return _rename(file) if path.name == VAE_WEIGHTS.name else file


def _compare(file: WeightsFile | None, module: nn.Module | None) -> list[str]:
    """Return the mismatches of a weight file with its module."""
    if file is None or module is None:
        return []
    return find_mismatches(file, {key: tuple(value.shape) for key, value in module.state_dict().items()})


def _rename(file: WeightsFile) -> WeightsFile:
    """Rename the keys of old autoencoder files to current names."""

    def current_name(key: str) -> str:
        for old, new in OLD_VAE_NAMES.items():
            key = key.replace(old, new) if ".attentions." in key else key
        return key

    originals: Mapping[str, str] = {current_name(key): key for key in file.shapes}
    shapes = {key: file.shapes[original] for key, original in originals.items()}
    return WeightsFile(file.path, shapes, lambda key: file.read(originals[key]))


def _empty_vae(path: Path, problems: list[str]) -> Any:
    try:
        values = read_json(path)
        with torch.device("meta"):
            return cast(Any, AutoencoderKL).from_config(values)
    except ConfigError as error:
        problems.append(str(error))
    except (TypeError, ValueError, KeyError, IndexError) as error:
        problems.append(f"{path}: not an AutoencoderKL configuration ({error})")
    return None


M = TypeVar("M", bound=nn.Module)


def _load_weights(module: M, weights: WeightsFile, dtype: torch.dtype, device: torch.device | str) -> M:
    """Load tensors one by one in their final type, device and layout (channels last for convolutions)."""

    def convert(tensor: Tensor) -> Tensor:
        layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
        return tensor.to(device=device, dtype=dtype).contiguous(memory_format=layout)

    try:
        state = {key: convert(weights.read(key)) for key in weights.shapes}
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"{weights.path}: cannot be loaded on {device} as {dtype} ({error})") from error
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(False)
