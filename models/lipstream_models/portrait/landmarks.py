"""Face landmarks: 478 points and 52 blendshapes from MediaPipe's face-landmarker bundle, on ai-edge-litert.

The decoding follows MediaPipe Tasks: detector, rotated square around the face, landmark network, optional
blendshape network. In video the square comes from the landmarks of the previous frame.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import IO

import numpy as np

from ..errors import LipstreamError
from .detector import Detection, FaceDetector, merge_overlapping
from .landmark_ids import BLENDSHAPE_INPUTS, LANDMARKS
from .region import Floats, Pixels, Region
from .tflite import TfliteModel

INPUT_SIZE = 256
ROI_SCALE = 1.5
OUTER_EYE_CORNERS = (33, 263)


@dataclass(frozen=True, eq=False)
class Face:
    """One face in image pixels.

    Attributes:
        box: (4,) x0, y0, x1, y1 of the landmarks.
        landmarks: (478, 3) x, y and relative depth in pixels (smaller is nearer).
        score: 0..1 of the detector; of the landmark network when tracking.
        presence: 0..1, the landmark network's confidence that there is a face.
    """

    box: Floats
    landmarks: Floats
    score: float
    presence: float

    @property
    def size(self) -> float:
        """Length of the longer side of the box in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


class FaceLandmarker:
    """Detector, landmark and blendshape networks of the bundle. Use one instance per thread."""

    def __init__(
        self,
        *,
        min_score: float = 0.5,
        min_presence: float = 0.5,
        refinements: int = 1,
        threads: int = 1,
        bundle: IO[bytes] | None = None,
    ) -> None:
        """Load the networks.

        Args:
            min_score: Lowest detector score, 0..1.
            min_presence: Lowest confidence of the landmark network, 0..1.
            refinements: Further passes of the landmark network on the square around its own result: 0 is
                MediaPipe's image mode, 1 makes still images and tracked frames agree.
            threads: CPU threads of each network.
            bundle: A face_landmarker.task file; None for the packaged one.
        """
        networks = _load(bundle, threads)
        self._detector = FaceDetector(networks["face_detector"], min_score)
        self._mesh = networks["face_landmarks_detector"]
        self._blendshapes = networks["face_blendshapes"]
        self._min_presence = min_presence
        self._refinements = refinements

    def detect(self, image: Pixels, *, thorough: bool = True) -> list[Face]:
        """Return all faces of an (H, W, 3) uint8 RGB image, the largest first.

        Args:
            image: (H, W, 3).
            thorough: Where the whole image shows no face, also search parts of it (small faces) and a larger
                square around it (faces that fill it): up to about 60 detector passes of 1 ms.
        """
        _check_image(image)
        for regions in _search_levels(image, thorough):
            detections = [each for region in regions for each in self._detector.detect(image, region)]
            faces = [face for each in _merge(detections) if (face := self._face(image, each))]
            if faces:
                return sorted(_distinct(faces), key=lambda face: -face.size)
        return []

    def track(self, image: Pixels, previous_landmarks: Floats) -> Face | None:
        """Find the same face in the next frame of a video without detection; None when it is lost.

        Args:
            image: (H, W, 3) uint8 RGB.
            previous_landmarks: (478, 2 or 3) in pixels, of the previous frame.
        """
        _check_image(image)
        landmarks, presence = self._landmarks(image, _region_of(previous_landmarks))
        return self._accept(landmarks, presence, presence)

    def blendshapes(self, landmarks: Floats) -> Floats:
        """Return (52,) scores 0..1 in the order of `landmark_ids.BLENDSHAPES`, of (478, 2 or 3) landmarks."""
        points = landmarks[list(BLENDSHAPE_INPUTS), :2]
        return self._blendshapes.run(points[None])[0].reshape(-1)

    def _face(self, image: Pixels, detection: Detection) -> Face | None:
        landmarks, presence = self._landmarks(image, _region_around(detection))
        for _ in range(self._refinements):
            if presence < self._min_presence:
                break
            landmarks, presence = self._landmarks(image, _region_of(landmarks))
        return self._accept(landmarks, presence, detection.score)

    def _landmarks(self, image: Pixels, region: Region) -> tuple[Floats, float]:
        """Return landmarks (478, 3) in image pixels, and the presence."""
        pixels = region.sample(image, INPUT_SIZE).astype(np.float32) / 255.0
        outputs = self._mesh.run(pixels[None])
        points = outputs[0].reshape(LANDMARKS, 3) / np.float32(INPUT_SIZE)
        logit = max(-80.0, min(80.0, float(outputs[1].reshape(-1)[0])))
        return region.to_image(points), 1.0 / (1.0 + math.exp(-logit))

    def _accept(self, landmarks: Floats, presence: float, score: float) -> Face | None:
        if presence < self._min_presence:
            return None
        box = np.concatenate([landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)])
        return Face(box, landmarks, score, presence)


def _load(bundle: IO[bytes] | None, threads: int) -> dict[str, TfliteModel]:
    with bundle or _packaged_bundle() as stream, zipfile.ZipFile(stream) as archive:
        names = ("face_detector", "face_landmarks_detector", "face_blendshapes")
        return {name: TfliteModel(archive.read(f"{name}.tflite"), threads) for name in names}


def _packaged_bundle() -> IO[bytes]:
    return (files(__package__) / "assets" / "face_landmarker.task").open("rb")


def _region_around(detection: Detection) -> Region:
    """Return the square of 1.5 times the box, rotated so that the eyes are level."""
    x0, y0, x1, y1 = (float(value) for value in detection.box)
    across = detection.keypoints[1] - detection.keypoints[0]
    side = max(x1 - x0, y1 - y0) * ROI_SCALE
    return Region((x0 + x1) / 2, (y0 + y1) / 2, side, math.atan2(float(across[1]), float(across[0])))


def _region_of(landmarks: Floats) -> Region:
    """Return the same square from (478, 2 or 3) landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    across = landmarks[OUTER_EYE_CORNERS[1]] - landmarks[OUTER_EYE_CORNERS[0]]
    centre = (low + high) / 2
    side = float((high - low).max()) * ROI_SCALE
    return Region(float(centre[0]), float(centre[1]), side, math.atan2(float(across[1]), float(across[0])))


def _search_levels(image: Pixels, thorough: bool) -> Iterator[list[Region]]:
    """Yield squares to search, level by level, until a level gives a face."""
    height, width = image.shape[:2]
    whole = float(max(height, width))
    middle = Region(width / 2, height / 2, whole)
    yield [middle]
    if not thorough:
        return
    yield [Region(middle.cx, middle.cy, whole * 2)]
    side = float(min(height, width))
    for parts in (1, 2, 4):
        tile = side / parts
        if tile < INPUT_SIZE / 2:
            return
        yield [Region(cx, cy, tile) for cy in _centres(height, tile) for cx in _centres(width, tile)]


def _centres(length: int, tile: float) -> list[float]:
    """Return the centres of tiles that cover `length` and overlap by half."""
    count = max(1, math.ceil((length - tile) / (tile / 2)) + 1)
    if count == 1:
        return [length / 2]
    return [float(value) for value in np.linspace(tile / 2, length - tile / 2, count)]


def _merge(detections: list[Detection]) -> list[Detection]:
    """Merge detections of the same face in overlapping tiles."""
    if not detections:
        return []
    points = np.stack([np.concatenate([each.box.reshape(2, 2), each.keypoints]) for each in detections])
    scores = np.array([each.score for each in detections], np.float32)
    return merge_overlapping(points, scores, 0.3)


def _distinct(faces: list[Face]) -> list[Face]:
    """Drop faces whose landmarks coincide with those of a face of higher presence."""
    distinct: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.presence):
        centre = face.landmarks[:, :2].mean(axis=0)
        if all(
            np.linalg.norm(centre - other.landmarks[:, :2].mean(axis=0)) > 0.25 * max(face.size, other.size)
            for other in distinct
        ):
            distinct.append(face)
    return distinct


def _check_image(image: Pixels) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise LipstreamError(
            f"expected an (H, W, 3) uint8 RGB image, got shape {image.shape} of {image.dtype};"
            " load files with load_portrait"
        )
