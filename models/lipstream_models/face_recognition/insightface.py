"""Identity embeddings by insightface's antelopev2 models on onnxruntime, as Hallo uses them.

The models (scrfd_10g_bnkps, glintr100) come with a Hallo download; onnxruntime is in the extra `hallo`. The
insightface package is not used, because it builds from source and requires OpenCV, albumentations and more
for these 130 lines.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import LipstreamError
from ..portrait.region import Floats, Pixels
from .geometry import (
    ALIGNED_SIZE,
    DetectedFace,
    align_face,
    decode_level,
    letterbox,
    suppress_overlaps,
)

DETECTION_SIZE = 640
STRIDES = (8, 16, 32)
SCORE_THRESHOLD = 0.5
OVERLAP_THRESHOLD = 0.4
EMBEDDING = 512


class FaceModelError(LipstreamError):
    """A face model cannot be run, or its output has an unexpected shape."""


@dataclass(frozen=True)
class FaceIdentity:
    """The largest face of an image.

    Attributes:
        embedding: (512,), not normalised.
        face: Position of the face.
        faces: Number of all faces found.
    """

    embedding: Floats
    face: DetectedFace
    faces: int


class FaceIdentifier:
    """Face detector and recogniser, loaded once."""

    def __init__(self, detector: Path, recogniser: Path) -> None:
        """Load both ONNX models.

        Raises:
            FaceModelError: onnxruntime is not installed, or a model is missing or unusable.
        """
        runtime = _onnxruntime()
        self._detector = _load_session(runtime, detector)
        self._recogniser = _load_session(runtime, recogniser)
        outputs = len(self._detector.get_outputs())
        if outputs != 3 * len(STRIDES):
            raise FaceModelError(
                f"{detector}: expected 9 outputs (scores, boxes, points for 3 sizes), got {outputs}"
            )

    def detect(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces of an RGB image (H, W, 3) uint8, largest first."""
        square, scale = letterbox(_checked(image), DETECTION_SIZE)
        outputs = [
            np.asarray(o, dtype=np.float32) for o in _infer(self._detector, _network_input(square, 128.0))
        ]
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
        selected = suppress_overlaps(boxes, scores, OVERLAP_THRESHOLD)
        faces = [DetectedFace(float(scores[i]), boxes[i], points[i]) for i in selected]
        return sorted(faces, key=lambda face: -face.area)

    def embed(self, image: Pixels, face: DetectedFace) -> Floats:
        """Return the embedding (512,) of one face of an image (H, W, 3) uint8, not normalised."""
        aligned = align_face(_checked(image), face.points, ALIGNED_SIZE)
        embedding = np.asarray(
            _infer(self._recogniser, _network_input(aligned, 127.5))[0], dtype=np.float32
        ).reshape(-1)
        if embedding.shape != (EMBEDDING,):
            raise FaceModelError(f"face recogniser: expected {EMBEDDING} numbers, got {embedding.size}")
        return embedding

    def identify(self, image: Pixels) -> FaceIdentity | None:
        """Embed the largest face of an RGB image (H, W, 3) uint8; None without a face (Hallo then uses zeros)."""
        faces = self.detect(image)
        return FaceIdentity(self.embed(image, faces[0]), faces[0], len(faces)) if faces else None


def _checked(image: Pixels) -> Pixels:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FaceModelError(f"expected an RGB image (H, W, 3) of uint8, got {image.shape} of {image.dtype}")
    return image


def _network_input(image: Pixels, scale: float) -> Floats:
    """Convert (H, W, 3) uint8 RGB to (1, 3, H, W) float32, minus 127.5 and divided by `scale`."""
    return np.ascontiguousarray(((image.astype(np.float32) - 127.5) / scale).transpose(2, 0, 1)[None])


def _onnxruntime() -> ModuleType:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise FaceModelError(
            "Hallo's face models need onnxruntime, which is not installed: pip install -e '.[hallo]'"
        ) from error


def _load_session(runtime: ModuleType, path: Path) -> Any:
    if not path.is_file():
        raise FaceModelError(f"{path}: missing; expected insightface's {path.name}")
    try:
        return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise FaceModelError(f"{path}: not a usable ONNX model ({error})") from error


def _infer(session: Any, values: Floats) -> list[Any]:
    outputs: list[Any] = session.run(None, {session.get_inputs()[0].name: values})
    return outputs
