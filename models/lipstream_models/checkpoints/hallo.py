"""Loading of Hallo at full size from a directory of its published weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..audio.wav2vec import Wav2VecFeatures
from ..autoencoders.base import VaeCodec
from ..device.precision import fast_dtype
from ..face_recognition.insightface import FaceIdentifier
from ..model import Model, SamplingDefaults
from ..portrait import PortraitSettings
from .network_weights import load_model


def load_hallo(root: Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Model:
    """Load a directory in Hallo's layout, or one that `lipstream convert` wrote.

    ``dtype`` defaults to the fastest number format of the device. Raises ModelDirectoryError that lists every problem.
    """
    device = torch.device(device)
    dtype = dtype or fast_dtype(device)
    loaded = load_model(root, dtype, device)
    identifier = FaceIdentifier(loaded.directory.detector, loaded.directory.recogniser)

    def identify(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        face = identifier.identify(image)
        return np.zeros(512, np.float32) if face is None else face.embedding

    return Model(
        name="hallo",
        network=loaded.network,
        codec=VaeCodec(loaded.autoencoder),
        audio=Wav2VecFeatures.load(loaded.directory.wav2vec, device),
        scheduler=loaded.scheduler,
        portrait=PortraitSettings.hallo(),
        defaults=SamplingDefaults(steps=40, guidance=3.5, window=16),
        device=device,
        dtype=dtype,
        identify=identify,
    )
