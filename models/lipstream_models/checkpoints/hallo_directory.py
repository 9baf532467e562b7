"""Layout of model directories that `--model` accepts: Hallo's published one, and that of `lipstream convert`.

    hallo/net.pth                            or  net.safetensors (converted)
    stable-diffusion-v1-5/unet/config.json   or  config.json (a NetworkConfig)
    sd-vae-ft-mse/{config.json, diffusion_pytorch_model.safetensors}
    wav2vec/wav2vec2-base-960h/{config.json, preprocessor_config.json, model.safetensors}
    face_analysis/models/{scrfd_10g_bnkps.onnx, glintr100.onnx}

The other files of Hallo's download (separator, motion module, UNet weights) are not needed: net.pth contains their
weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import AudioProjectionConfig, ConfigError, NetworkConfig
from ..errors import LipstreamError
from .infer_config import (
    Shapes,
    audio_projection,
    face_locator_channels,
    identity_projection,
    max_positions,
)

NETWORK_CONFIG = Path("config.json")
UNET_CONFIG = Path("stable-diffusion-v1-5/unet/config.json")
NETWORK_FILES = (Path("net.safetensors"), Path("hallo/net.pth"))
VAE_CONFIG = Path("sd-vae-ft-mse/config.json")
VAE_WEIGHTS = Path("sd-vae-ft-mse/diffusion_pytorch_model.safetensors")
WAV2VEC = Path("wav2vec/wav2vec2-base-960h")
WAV2VEC_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
DETECTOR = Path("face_analysis/models/scrfd_10g_bnkps.onnx")
RECOGNISER = Path("face_analysis/models/glintr100.onnx")
UNET_KEYS = {
    "in_channels": "latent_channels",
    "block_out_channels": "block_out_channels",
    "layers_per_block": "layers_per_block",
    "attention_head_dim": "heads",
    "norm_num_groups": "norm_groups",
    "cross_attention_dim": "cross_attention_dim",
}


class ModelDirectoryError(LipstreamError):
    """A model directory is not usable. The message lists every problem."""

    def __init__(self, root: Path, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{root} cannot be used as a model directory, {count}:{listed}")


@dataclass(frozen=True)
class HalloDirectory:
    """Paths in a model directory. Only ``network`` depends on whether it was converted."""

    root: Path
    network: Path

    @property
    def vae_config(self) -> Path:
        """Configuration of the autoencoder."""
        return self.root / VAE_CONFIG

    @property
    def vae_weights(self) -> Path:
        """Weights of the autoencoder."""
        return self.root / VAE_WEIGHTS

    @property
    def wav2vec(self) -> Path:
        """Folder of the wav2vec 2.0 model, for transformers."""
        return self.root / WAV2VEC

    @property
    def detector(self) -> Path:
        """Face detector (ONNX)."""
        return self.root / DETECTOR

    @property
    def recogniser(self) -> Path:
        """Face recognition network (ONNX)."""
        return self.root / RECOGNISER


def locate_files(root: Path) -> tuple[HalloDirectory, list[str]]:
    """Return the paths of a directory, and a message for each missing file. Raises ModelDirectoryError if it does not exist."""
    if not root.is_dir():
        raise ModelDirectoryError(
            root, ["no such directory; expected Hallo's pretrained_models or a converted model"]
        )
    network = next(
        (root / path for path in NETWORK_FILES if (root / path).is_file()), root / NETWORK_FILES[-1]
    )
    directory = HalloDirectory(root, network)
    required = [
        (network, "network weights (hallo/net.pth as published, or net.safetensors as converted)"),
        (directory.vae_config, "autoencoder configuration (diffusers AutoencoderKL)"),
        (directory.vae_weights, "autoencoder weights"),
        *((directory.wav2vec / name, "speech encoder (wav2vec2-base-960h)") for name in WAV2VEC_FILES),
        (directory.detector, "face detector (insightface antelopev2)"),
        (directory.recogniser, "face recogniser (insightface antelopev2)"),
    ]
    missing = [f"{path}: missing; expected the {what}" for path, what in required if not path.is_file()]
    if not (root / NETWORK_CONFIG).is_file() and not (root / UNET_CONFIG).is_file():
        missing.append(
            f"{root / UNET_CONFIG}: missing; expected the UNet's configuration (or {NETWORK_CONFIG}, ours)"
        )
    return directory, missing


def read_network_config(root: Path, shapes: Shapes) -> NetworkConfig:
    """Read the configuration of the networks.

    It is the directory's config.json if there is one. Otherwise it follows from the configurations of the UNet and of
    wav2vec 2.0 and, for what these do not state, from the shapes of the weights. Raises ConfigError with the file.
    """
    own, unet, wav2vec = root / NETWORK_CONFIG, root / UNET_CONFIG, root / WAV2VEC / WAV2VEC_FILES[0]
    path = own if own.is_file() else unet
    try:
        if path == own:
            return NetworkConfig.from_dict(read_json(own))
        return config_from_unet(read_json(unet), read_json(wav2vec) if wav2vec.is_file() else {}, shapes)
    except ConfigError as error:
        raise ConfigError(str(error) if str(error).startswith(str(root)) else f"{path}: {error}") from error


def config_from_unet(unet: Mapping[str, Any], wav2vec: Mapping[str, Any], shapes: Shapes) -> NetworkConfig:
    """Return Hallo's configuration at the widths of an SD-1.5 UNet and a wav2vec 2.0 model.

    The UNet's ``attention_head_dim`` is the number of heads. Raises ConfigError.
    """
    missing = [key for key in UNET_KEYS if key not in unet]
    if missing:
        raise ConfigError(f"not a UNet configuration: {missing} missing")
    defaults = AudioProjectionConfig()
    blocks, channels = (
        wav2vec.get("num_hidden_layers", defaults.blocks),
        wav2vec.get("hidden_size", defaults.channels),
    )
    if not all(
        isinstance(value, int) and value > 0 for value in (blocks, channels, unet["cross_attention_dim"])
    ):
        raise ConfigError(
            "cross_attention_dim, and wav2vec2's num_hidden_layers and hidden_size, must be whole numbers"
        )
    audio = audio_projection(shapes, blocks, channels)
    values = {ours: unet[theirs] for theirs, ours in UNET_KEYS.items()}
    return NetworkConfig.from_dict(
        values
        | {
            "audio_attention_dim": audio.output_dim,
            "max_positions": max_positions(shapes),
            "face_locator_channels": face_locator_channels(shapes),
            "identity_projection": identity_projection(shapes, unet["cross_attention_dim"]).to_dict(),
            "audio_projection": audio.to_dict(),
        }
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ConfigError with the file."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object")
    return values
