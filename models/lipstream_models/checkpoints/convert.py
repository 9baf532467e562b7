"""Conversion of a Hallo model directory to half-precision safetensors that `--model` loads."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from ..errors import LipstreamError
from .hallo_directory import (
    DETECTOR,
    NETWORK_CONFIG,
    NETWORK_FILES,
    RECOGNISER,
    VAE_CONFIG,
    VAE_WEIGHTS,
    WAV2VEC,
)
from .network_weights import CheckedModel, check_model
from .weights_file import DTYPES, WeightsFile, write_safetensors

HALF = (torch.float16, torch.bfloat16)


class ConvertError(LipstreamError):
    """The output directory or number format is not valid."""


def convert(
    source: Path,
    out: Path,
    dtype: torch.dtype = torch.float16,
    progress: Callable[[str, int, int], None] | None = None,
) -> CheckedModel:
    """Convert the model directory ``source`` to the new directory ``out``.

    Memory use is constant: tensors are converted one at a time. wav2vec 2.0, which runs in fp32, and the face models
    are copied.

    Args:
        source: directory in Hallo's layout.
        out: new or empty directory.
        dtype: number format of networks and autoencoder, fp16 or bf16.
        progress: called with file name, tensors written, and number of tensors.

    Raises:
        ModelDirectoryError, ConvertError: before anything is written.
    """
    if dtype not in HALF:
        raise ConvertError(f"dtype {dtype}: expected one of {[DTYPES[d] for d in HALF]}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConvertError(f"{out}: exists already; expected a new or empty directory")
    checked = check_model(source)
    for path in (VAE_CONFIG, WAV2VEC, DETECTOR):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / VAE_CONFIG, out / VAE_CONFIG)
    shutil.copytree(source / WAV2VEC, out / WAV2VEC)
    for path in (DETECTOR, RECOGNISER):
        shutil.copyfile(source / path, out / path)
    _rewrite(checked.vae_weights, out / VAE_WEIGHTS, dtype, progress)
    _rewrite(checked.network_weights, out / NETWORK_FILES[0], dtype, progress)
    # Written last: a directory with this file counts as complete.
    (out / NETWORK_CONFIG).write_text(checked.config.to_json() + "\n", encoding="utf-8")
    return check_model(out)


def _rewrite(
    weights: WeightsFile, path: Path, dtype: torch.dtype, progress: Callable[[str, int, int], None] | None
) -> None:
    total = len(weights.shapes)

    def read(index: int, key: str) -> torch.Tensor:
        if progress is not None:
            progress(path.name, index + 1, total)
        return weights.read(key)

    write_safetensors(
        path, weights.shapes, dtype, (read(index, key) for index, key in enumerate(weights.shapes))
    )
