"""A narrow model with random weights, in the directory layout that Hallo publishes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from narrow_networks import seeded
from safetensors.torch import save_file

from lipstream_models.config import AudioProjectionConfig, NetworkConfig
from lipstream_models.networks import Network

CONFIG = replace(
    NetworkConfig(),
    block_out_channels=(32, 32, 64, 64),
    heads=4,
    norm_groups=16,
    cross_attention_dim=16,
    audio_attention_dim=12,
    audio_projection=AudioProjectionConfig(
        blocks=2, channels=8, intermediate_dim=10, output_dim=12, context_tokens=3
    ),
)
VAE: dict[str, Any] = {
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 4,
    "scaling_factor": 0.2,
}
UNET = {
    "in_channels": 4,
    "block_out_channels": [32, 32, 64, 64],
    "layers_per_block": 2,
    "attention_head_dim": 4,
    "norm_num_groups": 16,
    "cross_attention_dim": 16,
}
NET = Path("hallo/net.pth")
VAE_FILE = Path("sd-vae-ft-mse/diffusion_pytorch_model.safetensors")


def network_state() -> dict[str, torch.Tensor]:
    """Return random weights in fp16, as published."""
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in Network(CONFIG).state_dict().items()}
    return {key: seeded(key, shape).half() for key, shape in shapes.items()}


def vae_state() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in AutoencoderKL(**VAE).state_dict().items()}
    return {key: seeded(key, shape) for key, shape in shapes.items()}


def old_name(key: str) -> str:
    """Return the name of a key in sd-vae-ft-mse, which an older diffusers saved."""
    if ".attentions." in key:
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            key = key.replace(new, old)
    return key


def write_layout(root: Path) -> Path:
    texts = {
        "stable-diffusion-v1-5/unet/config.json": json.dumps(UNET),
        "sd-vae-ft-mse/config.json": json.dumps({"_class_name": "AutoencoderKL", **VAE}),
        "wav2vec/wav2vec2-base-960h/config.json": json.dumps({"hidden_size": 8, "num_hidden_layers": 2}),
        "wav2vec/wav2vec2-base-960h/preprocessor_config.json": "{}",
        "wav2vec/wav2vec2-base-960h/model.safetensors": "stands for the speech encoder",
        "face_analysis/models/scrfd_10g_bnkps.onnx": "stands for the detector",
        "face_analysis/models/glintr100.onnx": "stands for the recogniser",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / NET).parent.mkdir()
    torch.save(network_state(), root / NET)
    save_file({old_name(key): value for key, value in vae_state().items()}, root / VAE_FILE)
    return root
