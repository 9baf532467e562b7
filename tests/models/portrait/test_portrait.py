"""Tests of portrait preparation, from any image with a face to what the model sees."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from portraits import (
    astronaut,
    encoded,
    head,
    landscape,
    pixels,
)

from lipstream_models.portrait import (
    FaceLandmarker,
    Framing,
    ImageError,
    Portrait,
    PortraitSettings,
    Square,
    prepare_portrait,
)
from lipstream_models.portrait.crop import outline_box, resample_square
from lipstream_models.portrait.errors import CropError, FaceTooSmallError, NoFaceError


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


@pytest.fixture(scope="module")
def portrait(landmarker: FaceLandmarker) -> Portrait:
    return prepare_portrait(pixels(astronaut()), landmarker)


def test_portrait_parts_have_the_requested_size(portrait: Portrait) -> None:
    assert portrait.image.shape == portrait.face_region.shape == (256, 256, 3)
    assert portrait.image.dtype == portrait.face_region.dtype == np.uint8
    assert [level.lip.shape for level in portrait.masks] == [(1, 256), (1, 64), (1, 16)]
    assert portrait.foreground.shape == (256,)
    assert portrait.embedding.shape == (512,)
    assert portrait.notes == ()


def test_portrait_has_hallos_sizes_with_hallos_settings(landmarker: FaceLandmarker) -> None:
    portrait = prepare_portrait(pixels(astronaut()), landmarker, PortraitSettings.hallo())
    assert portrait.image.shape == (512, 512, 3)
    assert [level.full.shape[1] for level in portrait.masks] == [4096, 1024, 256, 64]
    assert "enlarged" in portrait.notes[0]


def test_head_is_framed_as_in_training(portrait: Portrait) -> None:
    x0, y0, x1, y1 = outline_box(portrait.landmarks) / 256
    framing = Framing()
    assert y1 - y0 == pytest.approx(framing.face_height, abs=0.01)
    assert (x0 + x1) / 2 == pytest.approx(framing.centre_x, abs=0.01)
    assert (y0 + y1) / 2 == pytest.approx(framing.centre_y, abs=0.01)


def test_landmarks_lie_on_the_face_of_the_crop(landmarker: FaceLandmarker, portrait: Portrait) -> None:
    (face,) = landmarker.detect(portrait.image)
    assert np.linalg.norm(face.landmarks[:, :2] - portrait.landmarks[:, :2], axis=1).mean() < 1.5


def test_preparation_is_deterministic(landmarker: FaceLandmarker, portrait: Portrait) -> None:
    again = prepare_portrait(encoded(astronaut(), "PNG"), landmarker)
    np.testing.assert_array_equal(again.image, portrait.image)
    np.testing.assert_array_equal(again.embedding, portrait.embedding)


def test_exif_rotated_file_gives_upright_landmarks(landmarker: FaceLandmarker, portrait: Portrait) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = encoded(astronaut().transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    np.testing.assert_array_equal(prepare_portrait(stored, landmarker).landmarks, portrait.landmarks)


@pytest.mark.parametrize("quarters", [1, 3])
def test_image_on_its_side_is_rotated_with_a_note(
    landmarker: FaceLandmarker, portrait: Portrait, quarters: int
) -> None:
    rotated = prepare_portrait(np.rot90(pixels(astronaut()), quarters).copy(), landmarker)
    assert "on its side" in rotated.notes[0]
    np.testing.assert_array_equal(rotated.image, portrait.image)


@pytest.mark.parametrize("scale", [1.5, 4.0])
def test_scaled_copy_gives_the_same_crop(
    landmarker: FaceLandmarker, portrait: Portrait, scale: float
) -> None:
    side = int(512 * scale)
    copy = prepare_portrait(pixels(astronaut().resize((side, side), Image.Resampling.BICUBIC)), landmarker)
    assert np.linalg.norm(copy.landmarks[:, :2] - portrait.landmarks[:, :2], axis=1).mean() < 2
    assert np.abs(copy.image.astype(int) - portrait.image.astype(int)).mean() < 5
    assert np.corrcoef(copy.embedding, portrait.embedding)[0, 1] > 0.95


def test_largest_of_several_faces_is_used_with_a_note(landmarker: FaceLandmarker) -> None:
    canvas = Image.new("RGB", (560, 320), (90, 110, 130))
    canvas.paste(head().resize((150, 150)), (10, 120))
    canvas.paste(head().resize((300, 300)), (220, 10))
    portrait = prepare_portrait(pixels(canvas), landmarker)
    assert "2 faces" in portrait.notes[0]
    assert portrait.square is not None
    assert portrait.square.left > 180


def test_unusable_portraits_raise_their_own_errors(landmarker: FaceLandmarker) -> None:
    with pytest.raises(NoFaceError, match="found none"):
        prepare_portrait(landscape(), landmarker)
    tiny = Image.new("RGB", (200, 200), (90, 110, 130))
    tiny.paste(head().resize((70, 70), Image.Resampling.LANCZOS), (60, 60))
    with pytest.raises(FaceTooSmallError, match="at least 48 pixels"):
        prepare_portrait(pixels(tiny), landmarker)
    with pytest.raises(ImageError):
        prepare_portrait(b"", landmarker)


def test_border_is_extended_for_a_head_at_the_edge_with_a_note(landmarker: FaceLandmarker) -> None:
    portrait = prepare_portrait(pixels(astronaut().crop((180, 75, 300, 260))), landmarker)
    assert any("border is extended" in note for note in portrait.notes)
    assert portrait.image.shape == (256, 256, 3)


def test_face_cut_off_by_the_edge_is_noted(landmarker: FaceLandmarker) -> None:
    portrait = prepare_portrait(pixels(astronaut().crop((100, 90, 400, 400))), landmarker)
    assert any("cut off by the edge" in note for note in portrait.notes)


def test_user_square_replaces_the_framing(landmarker: FaceLandmarker) -> None:
    image = pixels(astronaut())
    chosen = prepare_portrait(image, landmarker, user_square=Square(100, 0, 256))
    np.testing.assert_array_equal(chosen.image, image[:256, 100:356])
    for wrong in (Square(300, 300, 200), Square(100, 0, float("nan")), Square(-1e7, -1e7, 2e7)):
        with pytest.raises(CropError, match="around the face"):
            prepare_portrait(image, landmarker, user_square=wrong)


def test_whole_image_is_squeezed_without_framing(landmarker: FaceLandmarker) -> None:
    wide = pixels(astronaut().crop((0, 0, 512, 400)))
    portrait = prepare_portrait(wide, landmarker, PortraitSettings(512, (64, 32, 16, 8), framing=None))
    assert portrait.square is None
    assert portrait.image.shape == (512, 512, 3)
    again = landmarker.detect(portrait.image)[0]
    assert np.linalg.norm(again.landmarks[:, :2] - portrait.landmarks[:, :2], axis=1).mean() < 2


def test_portrait_arrays_are_read_only(portrait: Portrait) -> None:
    with pytest.raises(ValueError, match="read-only"):
        portrait.image[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        portrait.masks[0].lip[0] = 0


def test_crop_at_the_same_scale_copies_pixels_and_extends_the_border() -> None:
    image = pixels(astronaut())
    np.testing.assert_array_equal(resample_square(image, Square(10, 20, 64), 64), image[20:84, 10:74])
    beyond = resample_square(image, Square(-32, 100, 64), 64)
    np.testing.assert_array_equal(beyond[:, 32:], image[100:164, :32])
    assert np.abs(beyond[:, 0].astype(int).mean(axis=0) - image[100:164, 0].mean(axis=0)).max() < 12
