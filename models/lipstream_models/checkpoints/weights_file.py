"""Weight files: names and shapes of all tensors, which are read one at a time.

Supports `.safetensors` and torch's `.pth`. The latter is memory-mapped and may contain tensors only: no object in it
is ever unpickled.
"""

import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from ..errors import WeightsError


@dataclass(frozen=True)
class WeightsFile:
    """Names and shapes of the tensors in a file, and a function that reads one of them."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]


def open_weights(path: Path) -> WeightsFile:
    """Open a weight file. Raises WeightsError if it is missing, truncated, or contains anything but tensors."""
    if not path.is_file():
        raise WeightsError(f"{path}: missing")
    return _open_safetensors(path) if path.suffix == ".safetensors" else _open_torch(path)


def _open_safetensors(path: Path) -> WeightsFile:
    try:
        file: Any = safetensors.safe_open(path, framework="pt")
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a complete safetensors file ({path.stat().st_size} bytes; {error})"
        ) from error
    return WeightsFile(path, shapes, file.get_tensor)


def _open_torch(path: Path) -> WeightsFile:
    size = path.stat().st_size
    try:
        # Files of torch before 1.6 are not zip archives and cannot be memory-mapped.
        mapped = zipfile.is_zipfile(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warns of the pickle protocol of files that are refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{path}: refused: not a plain file of tensors, or damaged ({size} bytes; {reason}); "
            "objects in checkpoints are never unpickled, because that could run code"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: not a complete torch checkpoint ({size} bytes; {error})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a flat dictionary of tensors, got {type(state).__name__}")
    return WeightsFile(path, {key: tuple(value.shape) for key, value in state.items()}, state.__getitem__)


def find_mismatches(file: WeightsFile, expected: Mapping[str, tuple[int, ...]], limit: int = 5) -> list[str]:
    """Return a message for missing keys, for unexpected keys and for wrong shapes; empty if the file loads strictly."""
    missing = [f"{key} {list(shape)}" for key, shape in expected.items() if key not in file.shapes]
    unexpected = [key for key in file.shapes if key not in expected]
    wrong = [
        f"{key} is {list(file.shapes[key])}, expected {list(shape)}"
        for key, shape in expected.items()
        if key in file.shapes and file.shapes[key] != shape
    ]
    return [
        f"{file.path}: {len(keys)} of {total} {kind}: {'; '.join(keys[:limit])}"
        + (f"; and {len(keys) - limit} more" if len(keys) > limit else "")
        for keys, total, kind in (
            (missing, len(expected), "expected keys missing"),
            (unexpected, len(file.shapes), "keys not expected"),
            (wrong, len(expected), "keys of a wrong shape"),
        )
        if keys
    ]


DTYPES: Mapping[torch.dtype, str] = {
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
}


def write_safetensors(
    path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, tensors: Iterator[Tensor]
) -> None:
    """Write a safetensors file, one tensor at a time, so that memory use does not grow with the file.

    The file gets its name when it is complete.

    Args:
        path: the file.
        shapes: shape of each tensor, by name.
        dtype: number format of all tensors.
        tensors: the tensors, in the order of ``shapes``.
    """
    item = torch.empty((), dtype=dtype).element_size()
    header: dict[str, object] = {}
    offset = 0
    for key, shape in shapes.items():
        end = offset + item * int(torch.Size(shape).numel())
        header[key] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            flat = tensor.detach().to(device="cpu", dtype=dtype).contiguous().flatten()
            out.write(flat.view(torch.uint8).numpy().tobytes())
    partial.replace(path)
