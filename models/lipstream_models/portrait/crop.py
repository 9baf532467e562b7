"""The square crop around a head that the model sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .errors import CropError, FaceTooSmallError, NoFaceError
from .landmark_ids import FACE_OVAL, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from .landmarks import Face
from .region import Floats, Pixels

BORDER_BLURS = (0.03, 0.10)  # of the crop's side: the extended border is blurred more with distance


@dataclass(frozen=True)
class Framing:
    """Position of a head in the crop, as in the training frames; lengths in units of the crop's side.

    Measured on 40 training clips: faces are 0.61 +- 0.03 high, their centre at (0.50, 0.54) +- 0.02. The
    face is the bounding box of its outline (hairline to chin, 36 landmarks).

    Attributes:
        face_height: Height of the face.
        max_face_height: Height up to which a crop that leaves the image may come closer.
        centre_x: Horizontal position of the face's centre.
        centre_y: Vertical position of the face's centre.
        max_shift: Distance that a crop may shift before the border of the image is extended.
        min_face: Pixels of the source; faces that are lower are refused.
        max_enlargement: Factor above which enlarging is noted for the user.
    """

    face_height: float = 0.60
    max_face_height: float = 0.66
    centre_x: float = 0.5
    centre_y: float = 0.54
    max_shift: float = 0.08
    min_face: float = 48.0
    max_enlargement: float = 1.5


@dataclass(frozen=True)
class Square:
    """A square of `side` pixels at (`left`, `top`); the corner of the first pixel is (0, 0)."""

    left: float
    top: float
    side: float

    def to_crop(self, landmarks: Floats, size: int) -> Floats:
        """Map (N, 2 or 3) landmarks from the image to the crop resampled to `size` pixels."""
        scale = size / self.side
        moved = landmarks * scale
        moved[:, 0] = (landmarks[:, 0] + 0.5 - self.left) * scale - 0.5
        moved[:, 1] = (landmarks[:, 1] + 0.5 - self.top) * scale - 0.5
        return moved.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Crop:
    """A cropped head.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        landmarks: (478, 3) in pixels of the crop.
        square: Its position in the source image.
        notes: Remarks for the user.
    """

    image: Pixels
    landmarks: Floats
    square: Square
    notes: tuple[str, ...]


def choose_face(faces: list[Face], framing: Framing) -> tuple[Face, tuple[str, ...]]:
    """Return the largest face and, if there are several, a note for the user.

    Raises:
        NoFaceError: There is no face.
        FaceTooSmallError: The largest face is lower than `framing.min_face`.
    """
    if not faces:
        raise NoFaceError(
            "expected an image with one face; found none. Use an upright, well-lit portrait that looks"
            " towards the camera and shows the whole face"
        )
    face = max(faces, key=lambda face: face.size)
    height = outline_box(face.landmarks)[3] - outline_box(face.landmarks)[1]
    if height < framing.min_face:
        raise FaceTooSmallError(
            f"expected a face at least {framing.min_face:.0f} pixels high; the largest one has {height:.0f}."
            " Use a closer or larger image"
        )
    if len(faces) == 1:
        return face, ()
    x, y = (int(value) for value in face.landmarks[:, :2].mean(axis=0))
    return face, (f"{len(faces)} faces found; used the largest, at x={x}, y={y}",)


def crop_head(
    image: Pixels,
    faces: list[Face],
    size: int,
    framing: Framing | None = None,
    user_square: Square | None = None,
) -> Crop:
    """Crop the square around the largest face and resample it to `size` pixels, antialiased.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: Detected faces.
        size: Side of the crop in pixels.
        framing: Position of the head in the crop; None for the default.
        user_square: Replaces the automatic framing; in image coordinates.

    Raises:
        NoFaceError: There is no face.
        FaceTooSmallError: The largest face is too small.
        CropError: `user_square` does not show the face.
    """
    framing = framing or Framing()
    face, notes = choose_face(faces, framing)
    if user_square is not None:
        _check_square(user_square, face, image.shape[1], image.shape[0])
    notes += _quality_notes(face.landmarks, image.shape[1], image.shape[0])
    square = user_square or frame_head(face.landmarks, image.shape[1], image.shape[0], framing)
    if size > framing.max_enlargement * square.side:
        notes += (f"the head is enlarged from {square.side:.0f} to {size} pixels; it will look soft",)
    if _outside(square, image.shape[1], image.shape[0]) > 0.02:
        notes += ("the image ends close to the head; its border is extended",)
    return Crop(resample_square(image, square, size), square.to_crop(face.landmarks, size), square, notes)


def outline_box(landmarks: Floats) -> Floats:
    """Return (4,) x0, y0, x1, y1 of the face outline, from (478, 2 or 3) landmarks."""
    outline = landmarks[list(FACE_OVAL), :2]
    return np.concatenate([outline.min(axis=0), outline.max(axis=0)])


def face_roll(landmarks: Floats) -> float:
    """Return the clockwise rotation of the head in degrees, 0 for level eyes; (478, 2 or 3) landmarks."""
    right, left = (landmarks[list(ids), :2].mean(axis=0) for ids in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS))
    return math.degrees(math.atan2(float(left[1] - right[1]), float(left[0] - right[0])))


def frame_head(landmarks: Floats, width: int, height: int, framing: Framing) -> Square:
    """Return the square that frames a face as in training, inside the image as far as `framing` allows."""
    x0, y0, x1, y1 = (float(value) for value in outline_box(landmarks))
    face = y1 - y0
    side = face / framing.face_height
    side = max(min(side, float(min(width, height))), face / framing.max_face_height)
    left = (x0 + x1) / 2 + 0.5 - framing.centre_x * side
    top = (y0 + y1) / 2 + 0.5 - framing.centre_y * side
    max_shift = framing.max_shift * side
    return Square(_shifted(left, side, width, max_shift), _shifted(top, side, height, max_shift), side)


def _shifted(start: float, side: float, length: float, max_shift: float) -> float:
    """Move [start, start + side] towards [0, length] by at most `max_shift`; centre it if it cannot fit."""
    low, high = min(0.0, length - side), max(0.0, length - side)
    wanted = min(max(start, low), high)
    return min(max(wanted, start - max_shift), start + max_shift)


def _outside(square: Square, width: int, height: int) -> float:
    """Return the distance by which the square leaves the image, in units of its side."""
    right, bottom = square.left + square.side, square.top + square.side
    return max(-square.left, -square.top, right - width, bottom - height, 0.0) / square.side


def _check_square(square: Square, face: Face, width: int, height: int) -> None:
    x, y = (float(value) for value in face.landmarks[:, :2].mean(axis=0))
    # Written so that NaN fails too.
    inside = 0 < x - square.left < square.side and 0 < y - square.top < square.side
    if not (inside and square.side <= 2 * max(width, height)):
        raise CropError(
            f"expected a square around the face at x={x:.0f}, y={y:.0f} of this {width} x {height} image;"
            f" got left {square.left:g}, top {square.top:g}, side {square.side:g}. Move it, or leave it out"
        )


def _quality_notes(landmarks: Floats, width: int, height: int) -> tuple[str, ...]:
    x0, y0, x1, y1 = (float(value) for value in outline_box(landmarks))
    notes = []
    if min(x0, y0) < -0.5 or x1 > width - 0.5 or y1 > height - 0.5:
        notes.append("the face is cut off by the edge of the image; show the whole head for a better result")
    nose, right, left = (float(landmarks[index, 0]) for index in (1, 234, 454))
    nearer, farther = sorted((abs(nose - right), abs(left - nose)))
    if abs(face_roll(landmarks)) > 20:
        notes.append("the head is tilted; an upright portrait works better")
    if nearer < 0.3 * farther:
        notes.append("the head faces far to the side; a frontal portrait works better")
    return tuple(notes)


def resample_square(image: Pixels, square: Square, size: int) -> Pixels:
    """Resample `square` of (H, W, 3) to (size, size, 3); outside, the border is extended and smoothed."""
    height, width = image.shape[:2]
    x0, y0 = int(np.floor(square.left)) - 1, int(np.floor(square.top)) - 1
    x1, y1 = int(np.ceil(square.left + square.side)) + 1, int(np.ceil(square.top + square.side)) + 1
    rows, columns = np.clip(np.arange(y0, y1), 0, height - 1), np.clip(np.arange(x0, x1), 0, width - 1)
    source = Image.fromarray(image[rows[:, None], columns[None, :]])
    box = (square.left - x0, square.top - y0, square.left + square.side - x0, square.top + square.side - y0)
    pixels = source.resize((size, size), Image.Resampling.LANCZOS, box=box)
    if _outside(square, width, height) == 0:
        return np.array(pixels)
    return _soften_border(pixels, square, width, height)


def _soften_border(pixels: Image.Image, square: Square, width: int, height: int) -> Pixels:
    """Blur the parts outside the image, more with distance; the image itself stays unchanged."""
    size = pixels.width
    centres = (np.arange(size) + 0.5) * square.side / size
    beyond_x = np.maximum(-(square.left + centres), square.left + centres - width)
    beyond_y = np.maximum(-(square.top + centres), square.top + centres - height)
    distance = np.maximum(beyond_y[:, None], beyond_x[None, :])[..., None] / square.side
    mixed = np.asarray(pixels, np.float32)
    for radius in BORDER_BLURS:
        blend = np.clip(distance / radius, 0, 1).astype(np.float32)
        soft = np.asarray(pixels.filter(ImageFilter.GaussianBlur(size * radius)), np.float32)
        mixed = mixed * (1 - blend) + soft * blend
    return np.rint(mixed).astype(np.uint8)
