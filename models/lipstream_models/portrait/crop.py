"""The square around a head that the model sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .errors import CropError, FaceTooSmallError, NoFaceError
from .landmark_ids import FACE_OVAL, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from .landmarks import Face
from .region import Floats, Pixels

BORDER_BLURS = (0.03, 0.10)  # of the crop's side: the continued border fades into ever softer ground


@dataclass(frozen=True)
class Framing:
    """How the training pictures frame a head; lengths in units of the crop's side.

    Measured on 40 training clips: 0.61 +- 0.03 high, middle at (0.50, 0.54) +- 0.02.

    The face is measured by the bounding box of its outline (hairline to chin, 36 landmarks): `face_height`
    of the side, its middle at (`centre_x`, `centre_y`). When that square leaves the picture it may come
    closer, up to `tightest` face height, and shift by `max_shift`, before the border is continued.
    Faces lower than `min_face` pixels in the source
    are refused, and enlarging by more than `max_enlargement` is noted.
    """

    face_height: float = 0.60
    tightest: float = 0.66
    centre_x: float = 0.5
    centre_y: float = 0.54
    max_shift: float = 0.08
    min_face: float = 48.0
    max_enlargement: float = 1.5


@dataclass(frozen=True)
class Square:
    """`side` pixels from (`left`, `top`), in image coordinates counted from the corner of the first pixel."""

    left: float
    top: float
    side: float

    def place(self, landmarks: Floats, size: int) -> Floats:
        """(N, 2 or 3) landmarks of the image -> of the crop resampled to `size` pixels."""
        scale = size / self.side
        moved = landmarks * scale
        moved[:, 0] = (landmarks[:, 0] + 0.5 - self.left) * scale - 0.5
        moved[:, 1] = (landmarks[:, 1] + 0.5 - self.top) * scale - 0.5
        return moved.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Crop:
    """`image` (size, size, 3) uint8; `landmarks` (478, 3) in its pixels; `square`: where it was cut from;
    `notes`: what the user should know."""

    image: Pixels
    landmarks: Floats
    square: Square
    notes: tuple[str, ...]


def choose_face(faces: list[Face], framing: Framing) -> tuple[Face, tuple[str, ...]]:
    """The largest face and, if there were several, a note. Raises NoFaceError or FaceTooSmallError."""
    if not faces:
        raise NoFaceError(
            "expected a picture with one face; found none. Use an upright, well lit portrait that looks"
            " towards the camera and shows the whole face"
        )
    face = max(faces, key=lambda face: face.size)
    height = outline_box(face.landmarks)[3] - outline_box(face.landmarks)[1]
    if height < framing.min_face:
        raise FaceTooSmallError(
            f"expected a face at least {framing.min_face:.0f} pixels high; the largest one has {height:.0f}."
            " Use a closer or larger picture"
        )
    if len(faces) == 1:
        return face, ()
    x, y = (int(value) for value in face.landmarks[:, :2].mean(axis=0))
    return face, (f"{len(faces)} faces found; took the largest, around x={x}, y={y}",)


def crop_head(
    image: Pixels,
    faces: list[Face],
    size: int,
    framing: Framing | None = None,
    user_square: Square | None = None,
) -> Crop:
    """Cut the square around the largest of `faces` and resample it to `size`, antialiased.

    `user_square` (image coordinates) replaces the automatic framing; the face is then only measured.
    Raises NoFaceError, FaceTooSmallError, CropError.
    """
    framing = framing or Framing()
    face, notes = choose_face(faces, framing)
    if user_square is not None:
        _check_square(user_square, face, image.shape[1], image.shape[0])
    notes += _notes_on(face.landmarks, image.shape[1], image.shape[0])
    square = user_square or frame_head(face.landmarks, image.shape[1], image.shape[0], framing)
    if size > framing.max_enlargement * square.side:
        notes += (f"the head was enlarged from {square.side:.0f} to {size} pixels; it will look soft",)
    if _outside(square, image.shape[1], image.shape[0]) > 0.02:
        notes += ("the picture ends close to the head; its border was continued",)
    return Crop(cut(image, square, size), square.place(face.landmarks, size), square, notes)


def outline_box(landmarks: Floats) -> Floats:
    """(4,) x0, y0, x1, y1 of the face outline."""
    outline = landmarks[list(FACE_OVAL), :2]
    return np.concatenate([outline.min(axis=0), outline.max(axis=0)])


def face_roll(landmarks: Floats) -> float:
    """Degrees by which the head is turned clockwise in the picture; 0 when the eyes lie level."""
    right, left = (landmarks[list(ids), :2].mean(axis=0) for ids in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS))
    return math.degrees(math.atan2(float(left[1] - right[1]), float(left[0] - right[0])))


def frame_head(landmarks: Floats, width: int, height: int, framing: Framing) -> Square:
    """The square that frames a face as in training, kept inside the picture as far as `framing` allows."""
    x0, y0, x1, y1 = (float(value) for value in outline_box(landmarks))
    face = y1 - y0
    side = face / framing.face_height
    side = max(min(side, float(min(width, height))), face / framing.tightest)
    left = (x0 + x1) / 2 + 0.5 - framing.centre_x * side
    top = (y0 + y1) / 2 + 0.5 - framing.centre_y * side
    slack = framing.max_shift * side
    return Square(_shifted(left, side, width, slack), _shifted(top, side, height, slack), side)


def _shifted(start: float, side: float, length: float, slack: float) -> float:
    """Move [start, start + side] towards [0, length] by at most `slack`; centre it when it cannot fit."""
    low, high = min(0.0, length - side), max(0.0, length - side)
    wanted = min(max(start, low), high)
    return min(max(wanted, start - slack), start + slack)


def _outside(square: Square, width: int, height: int) -> float:
    """How far the square leaves the picture, in units of its side."""
    right, bottom = square.left + square.side, square.top + square.side
    return max(-square.left, -square.top, right - width, bottom - height, 0.0) / square.side


def _check_square(square: Square, face: Face, width: int, height: int) -> None:
    x, y = (float(value) for value in face.landmarks[:, :2].mean(axis=0))
    # written so that NaN fails too
    inside = 0 < x - square.left < square.side and 0 < y - square.top < square.side
    if not (inside and square.side <= 2 * max(width, height)):
        raise CropError(
            f"expected a square around the face at x={x:.0f}, y={y:.0f} of this {width} x {height} picture;"
            f" got left {square.left:g}, top {square.top:g}, side {square.side:g}. Move it, or leave it out"
        )


def _notes_on(landmarks: Floats, width: int, height: int) -> tuple[str, ...]:
    x0, y0, x1, y1 = (float(value) for value in outline_box(landmarks))
    notes = []
    if min(x0, y0) < -0.5 or x1 > width - 0.5 or y1 > height - 0.5:
        notes.append("the face is cut by the edge of the picture; show the whole head for a better result")
    nose, right, left = (float(landmarks[index, 0]) for index in (1, 234, 454))
    nearer, farther = sorted((abs(nose - right), abs(left - nose)))
    if abs(face_roll(landmarks)) > 20:
        notes.append("the head is tilted; an upright portrait works better")
    if nearer < 0.3 * farther:
        notes.append("the head is turned far to the side; a frontal portrait works better")
    return tuple(notes)


def cut(image: Pixels, square: Square, size: int) -> Pixels:
    """Resample `square` of (H, W, 3) to (size, size, 3); outside, the border is continued and smoothed."""
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
    """Blur what lies outside the picture, more with the distance; the picture itself stays as it is."""
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
