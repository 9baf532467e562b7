"""Who the portrait shows: insightface's antelopev2 models on onnxruntime, as Hallo uses them (facts 1.1,
row 3).

onnxruntime is an optional extra; the models (scrfd_10g_bnkps, glintr100) come with a Hallo download.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import LipstreamError
from .geometry import (
    ALIGNED_SIZE,
    DetectedFace,
    Floats,
    Pixels,
    align,
    decode_level,
    letterbox,
    suppress,
)

DETECTION_SIZE = 640
STRIDES = (8, 16, 32)
SCORE_THRESHOLD = 0.5
OVERLAP_THRESHOLD = 0.4
EMBEDDING = 512


class FaceModelError(LipstreamError):
    """A face model cannot be run, or gives something else than expected."""


@dataclass(frozen=True)
class FaceIdentity:
    """The largest face and its embedding (512,), not normalised. `faces` counts all faces found."""

    embedding: Floats
    face: DetectedFace
    faces: int


class FaceIdentifier:
    """Detector and recogniser, loaded once."""

    def __init__(self, detector: Path, recogniser: Path) -> None:
        """Raises FaceModelError if onnxruntime or a model is missing or unusable."""
        runtime = _onnxruntime()
        self._detector = _session(runtime, detector)
        self._recogniser = _session(runtime, recogniser)
        outputs = len(self._detector.get_outputs())
        if outputs != 3 * len(STRIDES):
            raise FaceModelError(
                f"{detector}: expected 9 outputs (scores, boxes, points for 3 sizes), got {outputs}"
            )

    def detect(self, image: Pixels) -> list[DetectedFace]:
        """Faces in an RGB picture (H, W, 3), largest first."""
        square, scale = letterbox(_checked(image), DETECTION_SIZE)
        outputs = [np.asarray(o, dtype=np.float32) for o in _run(self._detector, _blob(square, 128.0))]
        levels = []
        for level, stride in enumerate(STRIDES):
            scores, boxes, points = (outputs[kind * len(STRIDES) + level] for kind in range(3))
            levels.append(
                decode_level(
                    scores.reshape(-1),
                    boxes.reshape(-1, 4),
                    points.reshape(-1, 10),
                    stride,
                    DETECTION_SIZE // stride,
                    SCORE_THRESHOLD,
                )
            )
        scores, boxes, points = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        boxes, points = boxes / np.float32(scale), points / np.float32(scale)
        kept = suppress(boxes, scores, OVERLAP_THRESHOLD)
        faces = [DetectedFace(float(scores[i]), boxes[i], points[i]) for i in kept]
        return sorted(faces, key=lambda face: -face.area)

    def embed(self, image: Pixels, face: DetectedFace) -> Floats:
        """Embedding (512,) of one face, not normalised."""
        aligned = align(_checked(image), face.points, ALIGNED_SIZE)
        embedding = np.asarray(_run(self._recogniser, _blob(aligned, 127.5))[0], dtype=np.float32).reshape(-1)
        if embedding.shape != (EMBEDDING,):
            raise FaceModelError(f"face recogniser: expected {EMBEDDING} numbers, got {embedding.size}")
        return embedding

    def identify(self, image: Pixels) -> FaceIdentity | None:
        """The largest face of an RGB picture (H, W, 3) and its embedding; None without a face (Hallo then
        uses zeros).
        """
        faces = self.detect(image)
        return FaceIdentity(self.embed(image, faces[0]), faces[0], len(faces)) if faces else None


def _checked(image: Pixels) -> Pixels:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FaceModelError(
            f"expected an RGB picture (H, W, 3) of uint8, got {image.shape} of {image.dtype}"
        )
    return image


def _blob(image: Pixels, spread: float) -> Floats:
    """(H, W, 3) of 0..255 -> (1, 3, H, W) centred on 127.5. The models take RGB."""
    return np.ascontiguousarray(((image.astype(np.float32) - 127.5) / spread).transpose(2, 0, 1)[None])


def _onnxruntime() -> ModuleType:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise FaceModelError(
            "Hallo's face models need onnxruntime, which is not installed: pip install -e '.[hallo]'"
        ) from error


def _session(runtime: ModuleType, path: Path) -> Any:
    if not path.is_file():
        raise FaceModelError(f"{path}: missing; expected insightface's {path.name}")
    try:
        return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own exceptions, which have no common base
        raise FaceModelError(f"{path}: not a usable ONNX model ({error})") from error


def _run(session: Any, blob: Floats) -> list[Any]:
    outputs: list[Any] = session.run(None, {session.get_inputs()[0].name: blob})
    return outputs
