"""Tests of the region masks, which equal Hallo's, and of the face tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portraits import astronaut, pixels

from lipstream_models.portrait.landmark_ids import FACE_OVAL, LIPS_INNER, LIPS_OUTER
from lipstream_models.portrait.landmarks import FaceLandmarker
from lipstream_models.portrait.masks import (
    face_rectangle,
    face_region,
    foreground_tokens,
    lip_rectangle,
    mask_pyramid,
    soft_masks,
)
from lipstream_models.portrait.opencv_filters import (
    gaussian_blur,
    gaussian_kernel,
    normalise_minmax,
    resize_linear,
)

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return FaceLandmarker().detect(pixels(astronaut()))[0].landmarks


def positioned(face: np.ndarray, height: float, x: float, y: float) -> np.ndarray:
    """Return the landmarks with an outline `height` pixels high around (x, y)."""
    outline = face[list(FACE_OVAL)]
    low, high = outline.min(axis=0), outline.max(axis=0)
    return ((face - (low + high) / 2) * (height / (high[1] - low[1])) + [x, y, 0]).astype(np.float32)


def test_contours_have_36_and_20_points() -> None:
    assert len(set(FACE_OVAL)) == 36
    assert len(set(LIPS_OUTER)) == len(set(LIPS_INNER)) == 20
    assert not set(LIPS_OUTER) & set(LIPS_INNER)


@pytest.mark.parametrize("case", range(4))
def test_soft_masks_equal_those_of_opencv(case: int) -> None:
    with np.load(DATA / "masks_opencv.npz") as stored:
        height, width = (int(length) for length in stored[f"size{case}"])
        masks = soft_masks(stored[f"landmarks{case}"], height, width)
        for name in ("full", "face", "lip"):
            np.testing.assert_array_equal(getattr(masks, name), stored[f"{name}{case}"])


positions = st.tuples(st.floats(40, 700), st.floats(-100, 612), st.floats(-100, 612))


@settings(max_examples=40, deadline=None)
@given(position=positions)
def test_face_and_lip_masks_complement_the_full_mask(
    face: np.ndarray, position: tuple[float, float, float]
) -> None:
    masks = soft_masks(positioned(face, *position), 512, 512)
    whole = masks.face.astype(int) + np.minimum(masks.lip, 255 - masks.full)
    # Inverting in floating point loses at most one grey level.
    assert (np.abs(whole + masks.full - 255) <= 1).all()


@settings(max_examples=25, deadline=None)
@given(position=positions, levels=st.sampled_from([(64, 32, 16, 8), (16, 8, 4), (32,)]))
def test_mask_pyramid_is_flat_and_between_zero_and_one(
    face: np.ndarray, position: tuple[float, float, float], levels: tuple[int, ...]
) -> None:
    pyramid = mask_pyramid(soft_masks(positioned(face, *position), 512, 512), levels)
    assert len(pyramid) == len(levels)
    for side, level in zip(levels, pyramid, strict=True):
        for mask in (level.full, level.face, level.lip):
            assert mask.shape == (1, side * side)
            assert mask.dtype == np.float32
            assert 0 <= mask.min() <= mask.max() <= 1


@settings(max_examples=40, deadline=None)
@given(position=positions)
def test_rectangles_lie_in_the_image_and_are_never_empty(
    face: np.ndarray, position: tuple[float, float, float]
) -> None:
    landmarks = positioned(face, *position)
    for x0, y0, x1, y1 in (face_rectangle(landmarks, 512, 400), lip_rectangle(landmarks, 512, 400)):
        assert 0 <= x0 < x1 <= 400
        assert 0 <= y0 < y1 <= 512


def test_rectangle_at_the_border_is_shifted_not_shrunk(face: np.ndarray) -> None:
    centred, corner = positioned(face, 200, 256, 256), positioned(face, 200, 70, 90)
    x0, y0, x1, y1 = face_rectangle(centred, 512, 512)
    assert y1 - y0 == pytest.approx(1.2 * 200, abs=2)
    left, top, right, bottom = face_rectangle(corner, 512, 512)
    assert (left, top) == (0, 0)
    assert (right, bottom) == (pytest.approx(x1 - x0, abs=2), pytest.approx(y1 - y0, abs=2))


def test_masks_are_brightest_in_their_own_region(face: np.ndarray) -> None:
    landmarks = positioned(face, 300, 256, 256)
    masks = soft_masks(landmarks, 512, 512)
    mouth = (landmarks[[13, 14], :2].mean(axis=0) / 8).astype(int)
    assert masks.lip[mouth[1], mouth[0]] > 230
    assert masks.face[mouth[1], mouth[0]] < 40
    brow = (landmarks[9, :2] / 8).astype(int)
    assert masks.face[brow[1], brow[0]] > 150
    assert masks.full[0, 0] > 230


def test_face_region_is_the_hard_rectangle(face: np.ndarray) -> None:
    landmarks = positioned(face, 150, 128, 128)
    region = face_region(landmarks, 256, 256, 256)
    x0, y0, x1, y1 = face_rectangle(landmarks, 256, 256)
    assert region.shape == (256, 256, 3)
    assert (region[y0:y1, x0:x1] == 255).all()
    assert region.sum() == 255 * 3 * (x1 - x0) * (y1 - y0)
    assert face_region(landmarks, 256, 300, 512).shape == (512, 512, 3)


@settings(max_examples=40, deadline=None)
@given(
    height=st.floats(1, 700),
    x=st.floats(-400, 700),
    y=st.floats(-400, 700),
    side=st.sampled_from([8, 16, 32, 64]),
)
def test_face_tokens_are_never_empty(face: np.ndarray, height: float, x: float, y: float, side: int) -> None:
    tokens = foreground_tokens(positioned(face, height, x, y), 256, side)
    assert tokens.shape == (side * side,)
    assert tokens.dtype == np.bool_
    assert tokens.any()


def test_face_tokens_cover_the_face_but_not_the_corners(face: np.ndarray) -> None:
    landmarks = positioned(face, 0.6 * 256, 128, 128)
    tokens = foreground_tokens(landmarks, 256, 16).reshape(16, 16)
    columns, rows = (landmarks[:, :2] / 16).astype(int).T
    assert tokens[rows, columns].all()
    assert not tokens[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 0.25 < tokens.mean() < 0.5
    wider = foreground_tokens(landmarks, 256, 16, dilation=1.4).reshape(16, 16)
    assert (wider | ~tokens).all()


@pytest.mark.parametrize("taps", [31, 51])
def test_gaussian_kernel_is_symmetric_and_adds_up_to_256(taps: int) -> None:
    weights = gaussian_kernel(taps)
    assert weights.sum() == 256
    assert (weights == weights[::-1]).all()
    assert weights[taps // 2] >= weights.max() - 1


@given(value=st.integers(0, 255), size=st.integers(1, 90))
def test_filters_leave_a_uniform_image_unchanged(value: int, size: int) -> None:
    plain = resize_linear(np.full((size, size + 3), value, np.uint8), 64)
    assert (plain == value).all()
    assert (gaussian_blur(plain, 31) == value).all()


def test_normalise_minmax_reaches_black_and_white() -> None:
    stretched = normalise_minmax(np.array([[7, 20, 90]], np.uint8))
    assert stretched.tolist() == [[0, 40, 255]]
