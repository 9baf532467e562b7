"""Tests of the landmarker, its tracking, and the measures of landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from portraits import (
    FACE_CENTRE,
    astronaut,
    head,
    landscape,
    pixels,
)

from lipstream_models.errors import LipstreamError
from lipstream_models.portrait.detector import merge_overlapping
from lipstream_models.portrait.landmark_ids import (
    BLENDSHAPE_INPUTS,
    BLENDSHAPES,
    CHIN,
    FOREHEAD_TOP,
)
from lipstream_models.portrait.landmarks import FaceLandmarker
from lipstream_models.portrait.measures import geometry_embedding, inter_ocular_distance, lip_opening
from lipstream_models.portrait.similarity_transform import align_points


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


@pytest.fixture(scope="module")
def landmarks(landmarker: FaceLandmarker) -> np.ndarray:
    return landmarker.detect(pixels(astronaut()))[0].landmarks


def test_landmarker_finds_the_face_at_its_position(landmarker: FaceLandmarker) -> None:
    (face,) = landmarker.detect(pixels(astronaut()))
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == np.float32
    assert face.score > 0.8
    assert face.presence > 0.99
    x0, y0, x1, y1 = face.box
    assert x0 < FACE_CENTRE[0] < x1
    assert y0 < FACE_CENTRE[1] < y1
    assert face.landmarks[FOREHEAD_TOP, 1] < face.landmarks[CHIN, 1]
    assert 100 < face.size < 120


def test_refinement_moves_landmarks_by_less_than_a_pixel(landmarker: FaceLandmarker) -> None:
    first = FaceLandmarker(refinements=0).detect(pixels(astronaut()))[0].landmarks
    second = landmarker.detect(pixels(astronaut()))[0].landmarks
    assert np.linalg.norm(first[:, :2] - second[:, :2], axis=1).mean() < 1.0


@pytest.mark.parametrize("scale", [0.5, 1.5, 4])
def test_landmarks_follow_the_scale_of_the_image(landmarker: FaceLandmarker, scale: float) -> None:
    original = astronaut()
    scaled = original.resize((int(512 * scale), int(512 * scale)), Image.Resampling.LANCZOS)
    expected = landmarker.detect(pixels(original))[0].landmarks[:, :2]
    found = (landmarker.detect(pixels(scaled))[0].landmarks[:, :2] + 0.5) / scale - 0.5
    assert np.linalg.norm(found - expected, axis=1).mean() < 1.0


def test_landmarks_follow_a_mirrored_and_a_shifted_image(landmarker: FaceLandmarker) -> None:
    image = pixels(astronaut())
    face = landmarker.detect(image)[0]
    shifted = landmarker.detect(np.roll(image, (40, 30), axis=(0, 1)))[0]
    assert np.abs(shifted.landmarks[:, :2] - face.landmarks[:, :2] - [30, 40]).mean() < 1.0
    mirrored = landmarker.detect(np.ascontiguousarray(image[:, ::-1]))[0]
    assert abs(511 - mirrored.landmarks[CHIN, 0] - face.landmarks[CHIN, 0]) < 2


def test_tracking_agrees_with_detection(landmarker: FaceLandmarker) -> None:
    image = pixels(astronaut())
    face = landmarker.detect(image)[0]
    tracked = landmarker.track(np.roll(image, 6, axis=1), face.landmarks)
    assert tracked is not None
    assert np.abs(tracked.landmarks[:, :2] - face.landmarks[:, :2] - [6, 0]).mean() < 1.0
    assert landmarker.track(landscape(), face.landmarks) is None


def test_landmarker_finds_no_face_in_a_landscape(landmarker: FaceLandmarker) -> None:
    assert landmarker.detect(landscape()) == []
    assert landmarker.detect(np.zeros((1, 1, 3), np.uint8)) == []
    assert landmarker.detect(np.zeros((4, 900, 3), np.uint8)) == []


def test_faces_are_sorted_largest_first(landmarker: FaceLandmarker) -> None:
    canvas = Image.new("RGB", (520, 320), (90, 110, 130))
    canvas.paste(head().resize((150, 150), Image.Resampling.LANCZOS), (20, 120))
    canvas.paste(head().resize((300, 300), Image.Resampling.LANCZOS), (200, 10))
    large, small = landmarker.detect(pixels(canvas))
    assert large.box[0] > 200 > small.box[2]
    assert large.size == pytest.approx(2 * small.size, rel=0.05)


def test_thorough_search_finds_a_small_face_in_a_large_image(landmarker: FaceLandmarker) -> None:
    canvas = Image.new("RGB", (2400, 1600), (90, 110, 130))
    canvas.paste(head(), (1700, 1200))
    image = pixels(canvas)
    assert landmarker.detect(image, thorough=False) == []
    (face,) = landmarker.detect(image)
    assert 1700 < face.box[0] < face.box[2] < 1900


def test_thorough_search_finds_a_face_that_fills_the_image(landmarker: FaceLandmarker) -> None:
    x0, y0, x1, y1 = landmarker.detect(pixels(astronaut()))[0].box
    tight = astronaut().crop((int(x0) + 3, int(y0) + 3, int(x1) - 3, int(y1) - 3))
    assert len(landmarker.detect(pixels(tight))) == 1


def test_blendshapes_detect_a_smile(landmarker: FaceLandmarker) -> None:
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert len(BLENDSHAPE_INPUTS) == len(set(BLENDSHAPE_INPUTS)) == 146
    scores = landmarker.blendshapes(landmarker.detect(pixels(astronaut()))[0].landmarks)
    named = dict(zip(BLENDSHAPES, scores, strict=True))
    assert named["mouthSmileLeft"] > 0.5
    assert named["mouthSmileRight"] > 0.5
    assert named["eyeBlinkLeft"] < 0.4


def test_landmarker_refuses_arrays_that_are_not_rgb(landmarker: FaceLandmarker) -> None:
    for wrong in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32)):
        with pytest.raises(LipstreamError, match="uint8 RGB"):
            landmarker.detect(wrong)


def test_lip_opening_is_a_ratio_that_ignores_scale_and_tilt(landmarks: np.ndarray) -> None:
    opening = lip_opening(landmarks)
    assert 0.05 < opening < 0.3  # a smile that shows teeth
    assert lip_opening(landmarks * 3) == pytest.approx(opening, rel=1e-4)
    turn = np.array([[0.8, -0.6], [0.6, 0.8]], np.float32)
    assert lip_opening(landmarks[:, :2] @ turn) == pytest.approx(opening, rel=1e-4)
    closed = landmarks.copy()
    closed[[13, 82, 312]] = closed[[14, 87, 317]]
    assert lip_opening(closed) == 0
    assert 40 < inter_ocular_distance(landmarks) < 60


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-0.6, 0.6),
    scale=st.floats(0.2, 8),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_embedding_ignores_position_size_and_tilt(
    landmarks: np.ndarray, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    moved = (scale * landmarks @ turn.T + [*shift, 0]).astype(np.float32)
    embedding = geometry_embedding(moved)
    assert embedding.shape == (512,)
    assert embedding.dtype == np.float32
    assert np.abs(embedding - geometry_embedding(landmarks)).max() < 0.02


def test_embedding_has_about_unit_variance_and_needs_depth(landmarks: np.ndarray) -> None:
    assert 0.3 < geometry_embedding(landmarks).std() < 2
    with pytest.raises(LipstreamError, match="depth"):
        geometry_embedding(landmarks[:, :2])


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_align_points_inverts_any_similarity_transform(seed: int) -> None:
    random = np.random.default_rng(seed)
    target = random.normal(size=(30, 3)).astype(np.float32)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    points = (random.uniform(0.1, 9) * target @ turn + random.normal(size=3)).astype(np.float32)
    weights = random.uniform(0.1, 1, 30).astype(np.float32)
    np.testing.assert_allclose(align_points(points, target, weights), target, atol=1e-4)


@given(seed=st.integers(0, 1000), count=st.integers(0, 30))
def test_merged_detections_no_longer_overlap_and_keep_the_best_scores(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    corner, size = random.uniform(0, 100, (count, 1, 2)), random.uniform(1, 40, (count, 1, 1))
    points = np.concatenate([corner, corner + size, random.uniform(0, 100, (count, 6, 2))], axis=1).astype(
        np.float32
    )
    scores = random.uniform(0.5, 1, count).astype(np.float32)
    merged = merge_overlapping(points, scores, 0.3)
    assert len(merged) <= count
    assert [each.score for each in merged] == sorted((each.score for each in merged), reverse=True)
    if count:
        assert merged[0].score == scores.max()
        boxes = np.stack([each.box for each in merged])
        assert (boxes.min(axis=0) >= points[:, :2].reshape(count, 4).min(axis=0) - 1e-3).all()
        assert (boxes.max(axis=0) <= points[:, :2].reshape(count, 4).max(axis=0) + 1e-3).all()
